// A YAML text as a tree in which everything has its place, before anybody asks what it means. Private to
// orchestrator/study.
//
// Built from yaml-cpp's events, not its nodes: nodes hide duplicate keys, aliases and what was quoted. Refuses anchors,
// aliases, tags, keys that are no texts, a second document, and what is larger or deeper than a study can be.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "orchestrator/study/parse.h"

namespace overnight::study {

struct Place {
  std::shared_ptr<const std::string> source;  // a file's name, or "--set budgets.run.wall=1h"
  int line = 0, column = 0;                   // from 1; 0: the source as a whole
};

struct Node {
  enum class Kind { null, scalar, sequence, mapping };
  struct Entry;

  Kind kind = Kind::null;
  std::string text;     // of a scalar
  bool quoted = false;  // "3" is a text, 3 is a number
  Place at;
  std::vector<Node> items;     // of a sequence
  std::vector<Entry> entries;  // of a mapping, in the order of the file, duplicates included

  bool is_scalar() const { return kind == Kind::scalar; }
  bool is_sequence() const { return kind == Kind::sequence; }
  bool is_mapping() const { return kind == Kind::mapping; }
  const Node* find(const std::string& key) const;  // the first of that name
  Node* find(const std::string& key) { return const_cast<Node*>(std::as_const(*this).find(key)); }
};

struct Node::Entry {
  std::string key;
  Place at;
  Node value;
};

// By section: "" for the study itself, "proposers[0].price", ...
using KnownKeys = std::map<std::string, std::set<std::string>>;

// All that is wrong with a study, up to a bound: a file of garbage needs no thousand sentences.
class Errors {
 public:
  static constexpr std::size_t most = 100;

  void add(const Place& at, const std::string& path, const std::string& explain);
  bool empty() const { return all_.empty(); }
  std::size_t count() const { return all_.size() + left_out_; }
  std::vector<StudyError> take();  // in the order of the lines, with a last one if some were left out

  // The keys that the reader of a section knows: what configs/study.schema.json is checked against.
  void knows(const std::string& section, const std::set<std::string>& keys) { known_[section] = keys; }
  const KnownKeys& known() const { return known_; }

 private:
  KnownKeys known_;
  std::vector<StudyError> all_;
  std::size_t left_out_ = 0;
};

// The one document in `text`. What is wrong goes to `errors`; the node is what could be read.
Node read_document(const std::string& text, const std::string& source, Errors& errors);

// "budgets.run.wall=1h": puts the value into the tree, making the mappings on the way. Lists are addressed by number:
// "proposers.0.share=0.5". An empty value takes the key away: "budgets.run.wall=".
void override_one(Node& root, const std::string& assignment, Errors& errors);

// Adds the site file's keys (executor, notify, governor) to the study's. A key in both is refused, because neither file
// may silently win.
void merge_site(Node& root, const Node& site, Errors& errors);

// The keys of each section of this study, as the reader knows them; those that are not available yet left out.
KnownKeys known_keys(const std::string& text);

// A text as an error may show it: control bytes masked, cut short, in quotes.
std::string shown(const std::string& text);

}  // namespace overnight::study
