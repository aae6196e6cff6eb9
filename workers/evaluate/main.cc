// overnight-eval: scores a checkpoint on held-out documents, in a process of its own; says what inference with it
// costs, and lets it write.
#include <sched.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <vector>

#include "workers/evaluate/bits_per_byte.h"
#include "workers/evaluate/decode.h"
#include "workers/model/memory.h"

namespace overnight::workers {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t bytes_default = 120'000;  // bytes scored unless --full: a few seconds on one core
constexpr std::size_t batch_rows = 8, device_batch_tokens = 131072;
constexpr std::uint64_t driver_bytes = std::uint64_t{256} << 20;  // of a GPU's memory, that the driver takes later
constexpr std::size_t config_bytes_max = 65536;
constexpr std::size_t length_max = 1 << 20, prompt_bytes_max = 1 << 16;
constexpr double decode_seconds = 0.5;  // at each length
const std::vector<std::size_t> decode_lengths{1024, 8192, 32768};
constexpr std::string_view valued_options[] = {"--bytes", "--data",     "--length", "--temperature",
                                               "--seed",  "--generate", "--device", "--precision"};

struct Options {
  fs::path artifacts, data = ".corpus/split/validation";
  std::size_t bytes = bytes_default;
  bool full = false;
  std::string device = "auto", precision = "bfloat16";
  enum class Work { score, decode, generate } work = Work::score;
  std::string prompt;
  Sampling sampling;
};

int complain(const std::string& why) {
  std::fprintf(stderr, "overnight-eval: %s\n", why.c_str());
  return 2;
}

constexpr char usage_text[] =
    R"(usage: overnight-eval ARTIFACTS [--data DIR] [--bytes N | --full] [--device cpu|cuda|auto]
                      [--precision bfloat16|float]
       overnight-eval ARTIFACTS --decode
       overnight-eval ARTIFACTS --generate TEXT [--length N] [--temperature X] [--seed N]
       overnight-eval --prepare CORPUS OUT     lays the splits out as OUT/train, OUT/validation, OUT/holdout

Prints and reports val_bpb, the bits per byte of ARTIFACTS/checkpoint.safetensors on the documents of DIR (*.txt;
OVERNIGHT_EVAL_DATA says the same): an even choice of about N bytes (%zu unless said), or all with --full.

  --device     auto, the default, takes a GPU if there is one
  --precision  of a GPU's matrices; bfloat16 unless said
  --decode     reads token by token: tokens per second on one thread and bytes of carried state behind 1k, 8k and
               32k tokens
  --generate   prints TEXT and what the model writes behind it (N tokens, 400 unless said)
)";

int usage(int code) {
  std::fprintf(code == 0 ? stdout : stderr, usage_text, bytes_default);
  return code;
}

std::size_t threads_given() {
  if (const char* cpus = std::getenv("OVERNIGHT_CPUS")) {
    if (const int count = std::atoi(cpus); count > 0) return static_cast<std::size_t>(count);
  }
  cpu_set_t set;
  CPU_ZERO(&set);
  return sched_getaffinity(0, sizeof set, &set) == 0 ? static_cast<std::size_t>(std::clamp(CPU_COUNT(&set), 1, 64)) : 1;
}

int prepare(const fs::path& corpus, const fs::path& out) {
  if (auto laid = lay_out_splits(corpus, out); !laid) return complain(laid.error());
  return 0;
}

void report(const std::string& name, double value) {
  const char* file = std::getenv("OVERNIGHT_METRICS");
  if (file == nullptr) return;
  char line[128];
  std::snprintf(line, sizeof line, "{\"name\": \"%s\", \"value\": %.9g}\n", name.c_str(), value);
  std::ofstream(file, std::ios::app) << line;
}

// A checkpoint and what it is one of.
struct Loaded {
  ModelConfig config;
  std::vector<float> parameters;
  Tokenizer tokenizer;  // bytes, unless the artifacts have another
};

// `more`: bytes of memory that are needed beside the parameters.
budgets::Result<Loaded, std::string> load(const fs::path& artifacts,
                                          const std::function<std::uint64_t(const ModelConfig&)>& more) {
  std::ifstream in(artifacts / "config.json");
  if (!in.is_open())
    return budgets::unexpected(artifacts.string() + " has no config.json: a training that ends early leaves no model");
  std::string text(config_bytes_max, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(std::max<std::streamsize>(0, in.gcount())));
  const auto config = config_from_json(text);
  if (!config) return budgets::unexpected((artifacts / "config.json").string() + ": " + config.error());
  Tokenizer tokenizer;
  if (config->vocabulary != byte_vocabulary) {
    auto read = read_tokenizer(artifacts / "tokenizer.txt");
    if (!read) return budgets::unexpected(read.error());
    tokenizer = std::move(*read);
  }
  if (config->vocabulary != tokenizer.vocabulary())
    return budgets::unexpected("the model's vocabulary is " + std::to_string(config->vocabulary) +
                               ", its tokenizer's " + std::to_string(tokenizer.vocabulary()));
  const LanguageModel model = make_language_model(*config, 1, ModelUse::inference);
  const std::uint64_t needed = model.graph.parameter_floats() * sizeof(float) + more(*config);
  if (std::string why = why_too_large(needed); !why.empty())
    return budgets::unexpected("this model cannot be run here: " + why);
  auto parameters = read_checkpoint(artifacts / "checkpoint.safetensors", model.graph);
  if (!parameters) return budgets::unexpected(parameters.error());
  return Loaded{*config, std::move(*parameters), std::move(tokenizer)};
}

int evaluate(const Options& options) {
  const auto documents = read_documents(options.data);
  if (!documents) return complain(documents.error());
  kernels::OpenedDevice place;
  if (options.device != "cpu") place = kernels::open_device();
  if (place.device == nullptr && (options.device == "cuda" || place.broken))
    return complain("there is no GPU to score on: " + place.why_not +
                    (options.device == "auto" ? " (--device cpu scores without one)" : ""));
  const std::size_t threads = threads_given();
  const auto loaded = load(options.artifacts, [&](const ModelConfig& config) {
    return place.device != nullptr ? 0 : threads * scoring_bytes(config, batch_rows);
  });
  if (!loaded) return complain(loaded.error());
  const auto segments = segments_of(*documents, options.full ? documents->bytes() : options.bytes);
  const InTokens tokens = in_tokens(*documents, segments, loaded->tokenizer);
  const std::vector<Row> rows = rows_of(tokens.segments, static_cast<std::size_t>(loaded->config.context));
  const bool rounded = options.precision == "bfloat16";
  const auto context = static_cast<std::size_t>(loaded->config.context);
  const std::size_t wanted =
      std::clamp<std::size_t>(device_batch_tokens / context, 1, std::max<std::size_t>(1, rows.size()));
  std::size_t batch = 0;
  if (place.device != nullptr) {
    const kernels::DeviceFacts facts = place.device->facts();
    const std::uint64_t free = facts.memory_free > driver_bytes ? facts.memory_free - driver_bytes : 0;
    batch = device_scoring_batch(loaded->config, rounded, wanted, free);
    if (batch == 0)
      return complain("this model cannot be scored on this GPU: " + std::to_string(free >> 20) +
                      " MiB of its memory are free, too few for one sequence");
    std::printf("scores on %s, %s\n", facts.name.c_str(), options.precision.c_str());
  }
  const auto score = place.device != nullptr ? bits_per_byte(loaded->config, loaded->parameters.data(),
                                                             tokens.documents, rows, batch, rounded, *place.device)
                                             : bits_per_byte(loaded->config, loaded->parameters.data(),
                                                             tokens.documents, rows, batch_rows, threads);
  if (!score) {
    std::fprintf(stderr, "overnight-eval: no score: %s\n", score.error().c_str());
    return 1;
  }
  std::printf("scored %lld bytes of %zu documents\n", static_cast<long long>(score->bytes), documents->names.size());
  std::printf("val_bpb: %.6f\n", score->value);
  report("val_bpb", score->value);
  return 0;
}

// What a cache for so long a text can take, whatever the mixers.
std::uint64_t cache_bytes(const ModelConfig& config, std::size_t tokens) {
  return static_cast<std::uint64_t>(config.depth * config.width) * 4 * tokens * sizeof(float);
}

int decode(const Options& options) {
  const auto loaded =
      load(options.artifacts, [](const ModelConfig& config) { return cache_bytes(config, 2 * decode_lengths.back()); });
  if (!loaded) return complain(loaded.error());
  kernels::flush_denormals();
  std::printf("%10s %12s %14s\n", "context", "tokens/s", "state, bytes");
  for (const DecodeCost& cost :
       decode_costs(loaded->config, loaded->parameters.data(), decode_lengths, decode_seconds)) {
    std::printf("%10zu %12.0f %14zu\n", cost.tokens, cost.tokens_per_second, cost.state_bytes);
    const std::string at = "_at_" + std::to_string(cost.tokens / 1024) + "k";
    report("decode_tokens_per_second" + at, cost.tokens_per_second);
    report("decode_state_bytes" + at, static_cast<double>(cost.state_bytes));
  }
  return 0;
}

int generate(const Options& options) {
  const auto loaded = load(options.artifacts, [&](const ModelConfig& config) {
    return cache_bytes(config, options.prompt.size() + options.sampling.length);
  });
  if (!loaded) return complain(loaded.error());
  const std::string text =
      go_on(loaded->config, loaded->parameters.data(), loaded->tokenizer, options.prompt, options.sampling);
  std::printf("%s\n", printable(options.prompt + text).c_str());
  return 0;
}

template <typename Number>
bool read_number(const std::string& text, Number& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size();
}

// Empty, or why `value` is none for option `name`.
std::string set_option(Options& options, const std::string& name, const std::string& value) {
  const auto wrong = [&](const char* what) { return name + ": \"" + value + "\" is not " + what; };
  if (name == "--bytes" && (!read_number(value, options.bytes) || options.bytes == 0))
    return wrong("a number of bytes");
  if (name == "--data") options.data = value;
  if (name == "--device" && value != "cpu" && value != "cuda" && value != "auto") return wrong("cpu, cuda or auto");
  if (name == "--precision" && value != "bfloat16" && value != "float") return wrong("bfloat16 or float");
  if (name == "--device") options.device = value;
  if (name == "--precision") options.precision = value;
  if (name == "--length" && (!read_number(value, options.sampling.length) || options.sampling.length > length_max))
    return wrong("a number of tokens up to 1048576");
  if (name == "--temperature" &&
      (!read_number(value, options.sampling.temperature) || !(options.sampling.temperature >= 0)))
    return wrong("a number from 0 up");
  if (name == "--seed" && !read_number(value, options.sampling.seed)) return wrong("a whole number");
  if (name != "--generate") return "";
  if (value.size() > prompt_bytes_max) return "--generate: a text of more than 65536 bytes";
  options.work = Options::Work::generate;
  options.prompt = value;
  return "";
}

// "--device=cpu" is "--device cpu".
std::vector<std::string> words_of(int argc, char** argv) {
  std::vector<std::string> words;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const std::size_t split = word.find('=');
    const bool value = !words.empty() && std::ranges::count(valued_options, words.back()) > 0;  // of the word before
    if (!value && split != std::string::npos && std::ranges::count(valued_options, word.substr(0, split)) > 0) {
      words.insert(words.end(), {word.substr(0, split), word.substr(split + 1)});
    } else {
      words.push_back(word);
    }
  }
  return words;
}

// Of a word that is no option here.
std::string why_no_option(const std::string& word) {
  const bool alone = std::ranges::count(valued_options, word) > 0 || word == "--prepare";
  if (alone) return word + " wants a value behind it (see --help)";
  if (!word.starts_with("--")) return "\"" + word + "\" is one folder too many (see --help)";
  return "there is no option " + word + " (see --help)";
}

int run(int argc, char** argv) {
  Options options;
  if (const char* data = std::getenv("OVERNIGHT_EVAL_DATA")) options.data = data;
  const std::vector<std::string> words = words_of(argc, argv);
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (words[i] == "--help" || words[i] == "-h") return usage(0);
    if (words[i] == "--prepare" && i + 2 < words.size()) return prepare(words[i + 1], words[i + 2]);
    const bool valued = std::ranges::count(valued_options, words[i]) > 0 && i + 1 < words.size();
    if (words[i] == "--full") {
      options.full = true;
    } else if (words[i] == "--decode") {
      options.work = Options::Work::decode;
    } else if (valued) {
      if (std::string why = set_option(options, words[i], words[i + 1]); !why.empty()) return complain(why);
      ++i;
    } else if (!words[i].starts_with("--") && options.artifacts.empty()) {
      options.artifacts = words[i];
    } else {
      return complain(why_no_option(words[i]));
    }
  }
  if (options.artifacts.empty()) return usage(2);
  switch (options.work) {
    case Options::Work::score:
      return evaluate(options);
    case Options::Work::decode:
      return decode(options);
    case Options::Work::generate:
      break;
  }
  return generate(options);
}

}  // namespace
}  // namespace overnight::workers

int main(int argc, char** argv) {
  try {
    return overnight::workers::run(argc, argv);
  } catch (const std::bad_alloc&) {
    std::fprintf(stderr, "overnight-eval: not enough memory for this model\n");
    return 3;
  } catch (const overnight::kernels::DeviceOutOfMemory& failed) {
    std::fprintf(stderr, "overnight-eval: not enough GPU memory for this model: %s\n", failed.what());
    return 3;
  } catch (const std::exception& failed) {  // a file that can be opened and not read: a folder, a device
    std::fprintf(stderr, "overnight-eval: %s\n", failed.what());
    return 2;
  }
}
