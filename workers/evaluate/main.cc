// overnight-eval: scores a checkpoint on held-out documents, in a process of its own.
#include <sched.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "workers/evaluate/bits_per_byte.h"
#include "workers/model/memory.h"

namespace overnight::workers {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t bytes_default = 120'000;  // bytes scored unless --full: a few seconds on one core
constexpr std::size_t batch_rows = 8;
constexpr std::size_t config_bytes_max = 65536;

struct Options {
  fs::path artifacts, data = ".corpus/split/validation";
  std::size_t bytes = bytes_default;
  bool full = false;
};

int complain(const std::string& why) {
  std::fprintf(stderr, "overnight-eval: %s\n", why.c_str());
  return 2;
}

int usage(int code) {
  std::fprintf(
      code == 0 ? stdout : stderr,
      "usage: overnight-eval ARTIFACTS [--data DIR] [--bytes N | --full]\n"
      "       overnight-eval --prepare CORPUS OUT     lay the splits out as OUT/train, OUT/validation, OUT/holdout\n"
      "Prints and reports val_bpb, the bits per byte of ARTIFACTS/checkpoint.safetensors on the documents of DIR "
      "(*.txt):\n"
      "an even choice of about N bytes (%zu unless said), or all of them with --full. OVERNIGHT_EVAL_DATA says the "
      "same as --data.\n",
      bytes_default);
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

void report(double value) {
  std::printf("val_bpb: %.6f\n", value);
  const char* file = std::getenv("OVERNIGHT_METRICS");
  if (file == nullptr) return;
  char line[96];
  std::snprintf(line, sizeof line, "{\"name\": \"val_bpb\", \"value\": %.9g}\n", value);
  std::ofstream(file, std::ios::app) << line;
}

int evaluate(const Options& options) {
  std::ifstream in(options.artifacts / "config.json");
  std::string text(config_bytes_max, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(std::max<std::streamsize>(0, in.gcount())));
  const auto config = config_from_json(text);
  if (!config) return complain((options.artifacts / "config.json").string() + ": " + config.error());
  if (config->vocabulary != byte_vocabulary)
    return complain("the model's vocabulary is " + std::to_string(config->vocabulary) + ", not bytes");
  const auto documents = read_documents(options.data);
  if (!documents) return complain(documents.error());
  const LanguageModel model = make_language_model(*config, 1, Graph::Purpose::inference);
  const std::size_t threads = threads_given();
  const std::uint64_t needed =
      model.graph.parameter_floats() * sizeof(float) + threads * scoring_bytes(*config, batch_rows);
  if (std::string why = why_too_large(needed); !why.empty())
    return complain("this model cannot be scored here: " + why);
  const auto parameters = read_checkpoint(options.artifacts / "checkpoint.safetensors", model.graph);
  if (!parameters) return complain(parameters.error());
  const auto segments = segments_of(*documents, options.full ? documents->bytes() : options.bytes);
  const std::vector<Row> rows = rows_of(segments, static_cast<std::size_t>(config->context));
  const auto score = bits_per_byte(*config, parameters->data(), *documents, rows, batch_rows, threads);
  if (!score) {
    std::fprintf(stderr, "overnight-eval: no score: %s\n", score.error().c_str());
    return 1;
  }
  std::printf("scored %lld bytes of %zu documents\n", static_cast<long long>(score->bytes), documents->names.size());
  report(score->value);
  return 0;
}

int run(int argc, char** argv) {
  Options options;
  if (const char* data = std::getenv("OVERNIGHT_EVAL_DATA")) options.data = data;
  const std::vector<std::string> words(argv + 1, argv + argc);
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (words[i] == "--help" || words[i] == "-h") return usage(0);
    if (words[i] == "--prepare" && i + 2 < words.size()) return prepare(words[i + 1], words[i + 2]);
    if (words[i] == "--full") {
      options.full = true;
    } else if (words[i] == "--bytes" && i + 1 < words.size()) {
      const std::string& number = words[++i];
      const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), options.bytes);
      if (error != std::errc() || end != number.data() + number.size() || options.bytes == 0)
        return complain("--bytes: \"" + number + "\" is not a number of bytes");
    } else if (words[i] == "--data" && i + 1 < words.size()) {
      options.data = words[++i];
    } else if (!words[i].starts_with("--") && options.artifacts.empty()) {
      options.artifacts = words[i];
    } else {
      return usage(2);
    }
  }
  if (options.artifacts.empty()) return usage(2);
  return evaluate(options);
}

}  // namespace
}  // namespace overnight::workers

int main(int argc, char** argv) {
  try {
    return overnight::workers::run(argc, argv);
  } catch (const std::bad_alloc&) {
    std::fprintf(stderr, "overnight-eval: not enough memory for this model\n");
    return 3;
  } catch (const std::exception& failed) {  // a file that can be opened and not read: a folder, a device
    std::fprintf(stderr, "overnight-eval: %s\n", failed.what());
    return 2;
  }
}
