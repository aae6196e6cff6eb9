#include "orchestrator/study/document.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <charconv>
#include <sstream>

namespace overnight::study {
namespace {

constexpr std::size_t nodes_max = 100'000;      // a study of a thousand listed points has a tenth of it
constexpr std::size_t shown_max = 60;           // bytes of a value that an error repeats
constexpr std::size_t assignment_max = 65'536;  // bytes of one --set

// Well-formed UTF-8 without a zero byte: what JSON, SQL and a command line can all carry.
bool is_text(const std::string& bytes) {
  for (std::size_t i = 0; i < bytes.size();) {
    const auto lead = static_cast<unsigned char>(bytes[i]);
    const std::size_t length = lead < 0x80 ? 1 : lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
    if (lead == 0 || (lead >= 0x80 && lead < 0xC2) || lead > 0xF4 || i + length > bytes.size()) return false;
    std::uint32_t code = length == 1 ? lead : lead & (0xFFU >> (length + 1));
    for (std::size_t k = 1; k < length; ++k) {
      const auto next = static_cast<unsigned char>(bytes[i + k]);
      if ((next & 0xC0) != 0x80) return false;
      code = code << 6 | (next & 0x3FU);
    }
    const bool overlong = (length == 3 && code < 0x800) || (length == 4 && code < 0x10000);
    if (overlong || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) return false;
    i += length;
  }
  return true;
}

bool belongs_to_site(const std::string& key) { return key == "executor" || key == "notify" || key == "governor"; }

struct TooMuch {};  // thrown through yaml-cpp to stop it; never leaves this file

// Builds the tree from yaml-cpp's events.
class Builder final : public YAML::EventHandler {
 public:
  Builder(std::shared_ptr<const std::string> source, Errors& errors) : source_(std::move(source)), errors_(errors) {}

  Node root;

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnAnchor(const YAML::Mark&, const std::string&) override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override { put(mark, Node::Kind::null, "?", anchor); }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    errors_.add(place(mark), "", "aliases (*name) are not allowed in a study; write the value out");
    put(mark, Node::Kind::null, "?", 0);
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    Node node = made(mark, Node::Kind::scalar, tag, anchor);
    node.text = value;
    if (!is_text(value)) {
      errors_.add(node.at, "", "holds bytes that are no UTF-8 text, or a zero byte; save the file as UTF-8");
      node.text.clear();
    }
    node.quoted = tag == "!";
    place_node(std::move(node));
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(mark, Node::Kind::sequence, tag, anchor);
  }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(mark, Node::Kind::mapping, tag, anchor);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapEnd() override { close(); }

 private:
  struct Frame {
    Node node;
    bool key_open = false;  // a key was read, its value comes next
  };

  Place place(const YAML::Mark& mark) const { return {source_, mark.line + 1, mark.column + 1}; }

  Node made(const YAML::Mark& mark, Node::Kind kind, const std::string& tag, YAML::anchor_t anchor) {
    Node node;
    node.kind = kind;
    node.at = place(mark);
    if (++count_ > nodes_max) {
      errors_.add(node.at, "", "holds more than " + std::to_string(nodes_max) + " values; a study is written by hand");
      throw TooMuch{};
    }
    if (anchor != 0) errors_.add(node.at, "", "anchors (&name) are not allowed in a study; write the value out");
    if (!tag.empty() && tag != "?" && tag != "!")
      errors_.add(node.at, "",
                  "tags (" + shown(tag) + ") are not allowed in a study; quote a text that looks like a number");
    return node;
  }
  void put(const YAML::Mark& mark, Node::Kind kind, const std::string& tag, YAML::anchor_t anchor) {
    place_node(made(mark, kind, tag, anchor));
  }
  void open(const YAML::Mark& mark, Node::Kind kind, const std::string& tag, YAML::anchor_t anchor) {
    stack_.push_back({made(mark, kind, tag, anchor), false});
    if (stack_.size() <= study_depth_max) return;
    errors_.add(place(mark), "", "nested deeper than " + std::to_string(study_depth_max) + " levels");
    throw TooMuch{};
  }
  void close() {
    Node done = std::move(stack_.back().node);
    stack_.pop_back();
    place_node(std::move(done));
  }
  void place_node(Node node) {
    if (stack_.empty()) {
      root = std::move(node);
      return;
    }
    Frame& top = stack_.back();
    if (top.node.is_sequence()) {
      top.node.items.push_back(std::move(node));
    } else if (top.key_open) {
      top.node.entries.back().value = std::move(node);
      top.key_open = false;
    } else {
      if (!node.is_scalar()) errors_.add(node.at, "", "a key must be a text");
      top.node.entries.push_back({std::move(node.text), node.at, Node{}});
      top.node.entries.back().value.at = node.at;
      top.key_open = true;
    }
  }

  std::shared_ptr<const std::string> source_;
  Errors& errors_;
  std::size_t count_ = 0;
  std::vector<Frame> stack_;
};

Node parse(const std::string& text, std::shared_ptr<const std::string> source, Errors& errors) {
  Builder builder(source, errors);
  try {
    std::istringstream in(text);
    YAML::Parser parser(in);
    if (!parser.HandleNextDocument(builder)) {
      errors.add({source, 0, 0}, "", "is empty");
      return {};
    }
    Errors unheard;
    Builder second(source, unheard);
    if (parser.HandleNextDocument(second))
      errors.add(second.root.at, "", "a second document begins here; a study is one");
  } catch (const YAML::Exception& error) {
    errors.add({source, error.mark.line + 1, error.mark.column + 1}, "", "is not YAML: " + error.msg);
  } catch (const TooMuch&) {  // said already, or in the second document, which is refused for being there
    if (errors.empty()) errors.add({source, 0, 0}, "", "holds more than one document; a study is one");
  }
  return std::move(builder.root);
}

// The node behind one step of an override's path; none if the path cannot go there.
Node* step_into(Node& at, const std::string& key, const Place& place) {
  if (at.is_sequence()) {
    std::size_t index = 0;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), index);
    if (error != std::errc() || end != key.data() + key.size() || index >= at.items.size()) return nullptr;
    return &at.items[index];
  }
  if (at.is_scalar() || key.empty()) return nullptr;
  if (at.kind == Node::Kind::null) at.kind = Node::Kind::mapping;
  if (Node* known = at.find(key)) return known;
  at.entries.push_back({key, place, Node{}});
  at.entries.back().value.at = place;
  return &at.entries.back().value;
}

// An override has no lines that a person could look up.
void forget_lines(Node& node) {
  node.at.line = node.at.column = 0;
  for (Node& item : node.items) forget_lines(item);
  for (Node::Entry& entry : node.entries) {
    entry.at.line = entry.at.column = 0;
    forget_lines(entry.value);
  }
}

void merge(Node& study, const Node& site, const std::string& path, Errors& errors) {
  for (const Node::Entry& entry : site.entries) {
    const std::string here = path.empty() ? entry.key : path + "." + entry.key;
    Node* own = study.find(entry.key);
    if (own == nullptr) {
      study.entries.push_back(entry);
    } else if (own->is_mapping() && entry.value.is_mapping()) {
      merge(*own, entry.value, here, errors);
    } else {
      errors.add(entry.at, here,
                 "stands in the study too (line " + std::to_string(own->at.line) + "); keep it in one place");
    }
  }
}

}  // namespace

const Node* Node::find(const std::string& key) const {
  const auto found = std::find_if(entries.begin(), entries.end(), [&](const Entry& entry) { return entry.key == key; });
  return found == entries.end() ? nullptr : &found->value;
}

void Errors::add(const Place& at, const std::string& path, const std::string& explain) {
  if (all_.size() >= most) {
    ++left_out_;
    return;
  }
  all_.push_back({at.source ? *at.source : "", at.line, at.column, path, explain});
}

std::vector<StudyError> Errors::take() {
  std::stable_sort(all_.begin(), all_.end(), [](const StudyError& a, const StudyError& b) {
    return std::pair(a.line, a.column) < std::pair(b.line, b.column);
  });
  if (left_out_ > 0) {
    all_.push_back({all_.back().file, 0, 0, "", "has " + std::to_string(left_out_) + " more errors"});
    left_out_ = 0;
  }
  return std::move(all_);
}

Node read_document(const std::string& text, const std::string& source, Errors& errors) {
  const auto name = std::make_shared<const std::string>(source);
  if (text.size() > study_bytes_max) {
    errors.add({name, 0, 0}, "", "is larger than 1 MiB; a study is written by hand");
    return {};
  }
  if (text.find('\0') != std::string::npos) {
    errors.add({name, 0, 0}, "", "holds a zero byte; it is no text");
    return {};
  }
  return parse(text, name, errors);
}

void override_one(Node& root, const std::string& assignment, Errors& errors) {
  const auto source = std::make_shared<const std::string>("--set " + assignment.substr(0, shown_max));
  const Place place{source, 0, 0};
  const std::size_t equals = assignment.find('=');
  if (equals == std::string::npos || equals == 0 || assignment.size() > assignment_max) {
    errors.add(place, "", "is not of the form key=value, like budgets.run.wall=1h");
    return;
  }
  const std::string path = assignment.substr(0, equals);
  Errors own;
  const std::string text = assignment.substr(equals + 1);
  Node value;
  if (text.find_first_not_of(" \t\n") != std::string::npos) value = parse(text, source, own);
  if (!own.empty()) {
    for (const StudyError& error : own.take()) errors.add(place, path, "the value " + error.explain);
    return;
  }
  Node* at = &root;
  Node* parent = nullptr;
  std::istringstream keys(path);
  std::string key;
  for (int depth = 1; std::getline(keys, key, '.'); ++depth) {
    parent = at;
    at = depth > study_depth_max ? nullptr : step_into(*at, key, place);
    if (at == nullptr) {
      errors.add(place, path, "there is nothing that " + shown(key) + " could name");
      return;
    }
  }
  if (value.kind == Node::Kind::null && parent != nullptr && parent->is_mapping()) {
    std::erase_if(parent->entries, [&](const Node::Entry& entry) { return &entry.value == at; });
    return;
  }
  forget_lines(value);
  *at = std::move(value);
}

void merge_site(Node& root, const Node& site, Errors& errors) {
  if (!site.is_mapping()) {
    errors.add(site.at, "", "a site file is a mapping: executor, notify, governor");
    return;
  }
  Node allowed = site;
  std::erase_if(allowed.entries, [](const Node::Entry& entry) { return !belongs_to_site(entry.key); });
  merge(root, allowed, "", errors);
  for (const Node::Entry& entry : site.entries) {
    if (!belongs_to_site(entry.key))
      errors.add(entry.at, entry.key, "belongs into a study; a site file holds executor, notify and governor");
  }
}

std::string shown(const std::string& text) {
  std::string out = "\"";
  for (const char c : text.substr(0, shown_max))
    out.push_back(static_cast<unsigned char>(c) < 32 || c == 127 ? '?' : c);
  return out + (text.size() > shown_max ? "...\"" : "\"");
}

}  // namespace overnight::study
