// The rules of the house (ARCHITECTURE.md), checked on the text of the sources. A rule that nothing checks is a wish.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;

constexpr std::size_t lines_max = 500;  // of one file; about 300 is the aim

struct Source {
  std::string path;    // "orchestrator/core/step.cc"
  std::string folder;  // "orchestrator/core"
  std::vector<std::string> lines;
};

std::string folder_of(const std::string& path) {
  const std::size_t first = path.find('/');
  if (first == std::string::npos) return "";
  const std::string top = path.substr(0, first);
  if (top != "orchestrator" && top != "workers") return top;
  const std::size_t second = path.find('/', first + 1);
  return second == std::string::npos ? top : path.substr(0, second);
}

Source source_of(const std::string& path, const std::string& text) {
  Source source{path, folder_of(path), {}};
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) source.lines.push_back(line);
  return source;
}

std::string read(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

// All C++ of the shipped programs.
const std::vector<Source>& sources() {
  static const std::vector<Source> all = [] {
    std::vector<Source> found;
    for (const char* top : {"budgets", "evals", "kernels", "workers", "orchestrator"}) {
      for (const auto& entry : fs::recursive_directory_iterator(fs::path(OVERNIGHT_SOURCE) / top)) {
        const std::string ending = entry.path().extension().string();
        if (ending != ".h" && ending != ".cc" && ending != ".cu" && ending != ".inc") continue;
        found.push_back(source_of(fs::relative(entry.path(), OVERNIGHT_SOURCE).string(), read(entry.path())));
      }
    }
    return found;
  }();
  return all;
}

// ---- who may include whom ----

// Each folder, and the folders that it may include beside itself.
const std::map<std::string, std::set<std::string>>& may_include() {
  static const std::set<std::string> adapter = {"budgets", "evals", "workers/protocol", "orchestrator/core",
                                                "orchestrator/ports"};
  static const std::map<std::string, std::set<std::string>> rule = {
      {"budgets", {}},
      {"evals", {"budgets"}},
      {"kernels", {}},
      {"workers/protocol", {"budgets", "evals"}},
      {"workers/nvml", {"budgets"}},
      {"workers/gpu_meter", {"budgets", "workers/protocol", "workers/nvml"}},
      {"workers/keeper", {"budgets", "evals", "workers/protocol"}},
      {"workers/model", {"budgets", "kernels"}},
      {"workers/corpus", {"budgets", "workers/model"}},
      {"workers/trainer", {"budgets", "kernels", "workers/model", "workers/corpus"}},
      {"workers/evaluate", {"budgets", "evals", "kernels", "workers/model", "workers/corpus"}},
      {"orchestrator/core", {"budgets", "evals", "workers/protocol"}},
      {"orchestrator/ports", {"budgets", "evals", "workers/protocol", "orchestrator/core"}},
      {"orchestrator/study", adapter},
      {"orchestrator/store", adapter},
      {"orchestrator/proposers", adapter},
      {"orchestrator/executors",
       {"budgets", "evals", "workers/protocol", "workers/nvml", "orchestrator/core", "orchestrator/ports"}},
      {"orchestrator/report", adapter},
      {"orchestrator/server", adapter},
      {"orchestrator/shell", adapter},
      {"orchestrator/cli",
       {"budgets", "evals", "workers/protocol", "workers/nvml", "orchestrator/core", "orchestrator/ports",
        "orchestrator/study", "orchestrator/store", "orchestrator/proposers", "orchestrator/executors",
        "orchestrator/report", "orchestrator/server", "orchestrator/shell"}},
      {"orchestrator", {"orchestrator/cli"}},
  };
  return rule;
}

std::vector<std::string> wrong_includes(const Source& source) {
  static const std::regex include_line(R"re(^\s*#\s*include\s+"([^"]+)")re");
  std::vector<std::string> wrong;
  const auto rule = may_include().find(source.folder);
  if (rule == may_include().end()) return {source.path + ": its folder has no rule here"};
  for (const std::string& line : source.lines) {
    std::smatch match;
    if (!std::regex_search(line, match, include_line)) continue;
    const std::string other = folder_of(match[1]);
    if (other == source.folder || rule->second.contains(other)) continue;
    wrong.push_back(source.path + " includes " + match[1].str());
  }
  return wrong;
}

TEST(House, AFolderIncludesOnlyWhatStandsToItsLeft) {
  ASSERT_FALSE(wrong_includes(source_of("budgets/x.cc", "#include \"orchestrator/core/step.h\"\n")).empty());
  ASSERT_FALSE(
      wrong_includes(source_of("orchestrator/store/x.cc", "#include \"orchestrator/shell/loop.h\"\n")).empty());
  for (const Source& source : sources()) {
    for (const std::string& wrong : wrong_includes(source)) ADD_FAILURE() << wrong;
  }
}

// ---- where what may stand ----

// Lines of `source` that match, comments left out.
std::vector<std::string> lines_with(const Source& source, const std::regex& wanted) {
  std::vector<std::string> found;
  for (std::size_t i = 0; i < source.lines.size(); ++i) {
    const std::string code = source.lines[i].substr(0, source.lines[i].find("//"));
    if (std::regex_search(code, wanted)) found.push_back(source.path + ":" + std::to_string(i + 1) + ": " + code);
  }
  return found;
}

void nowhere_but(const std::regex& wanted, const std::function<bool(const Source&)>& allowed,
                 const std::string& proof) {
  ASSERT_FALSE(lines_with(source_of("x/proof.cc", proof), wanted).empty()) << "the check itself does not see " << proof;
  for (const Source& source : sources()) {
    if (allowed(source)) continue;
    for (const std::string& line : lines_with(source, wanted)) ADD_FAILURE() << line;
  }
}

bool is_pure(const Source& source) {
  static const std::set<std::string> pure = {"budgets", "evals", "workers/protocol", "orchestrator/core"};
  return pure.contains(source.folder);
}

TEST(House, WhatDecidesTouchesNoClockFileSocketOrRandomDevice) {
  const std::regex world(
      R"(<(chrono|fstream|filesystem|thread|mutex|random|unistd\.h|fcntl\.h|sys/[a-z]+\.h|curl/.*|sqlite3\.h|boost/.*)>|\b(system_clock|steady_clock|random_device|getenv)\b)");
  nowhere_but(
      world, [](const Source& source) { return !is_pure(source); }, "#include <chrono>");
}

TEST(House, SqlStandsInTheStoreAlone) {
  const std::regex sql(R"re("\s*(SELECT|INSERT|UPDATE|DELETE|CREATE TABLE|PRAGMA)\b|sqlite3_)re");
  nowhere_but(
      sql, [](const Source& source) { return source.folder == "orchestrator/store"; }, "auto x = \"SELECT 1\";");
}

TEST(House, NothingSleepsAndNoThreadIsLetGo) {
  const std::regex sleeps(R"(\b(sleep_for|sleep_until|usleep|nanosleep)\b|\.detach\(\))");
  nowhere_but(
      sleeps, [](const Source&) { return false; }, "std::this_thread::sleep_for(1s);");
}

TEST(House, NoNameSaysNothing) {
  const std::regex vague("(^|[_/])(util|utils|helper|helpers|manager|common|misc)([_./]|$)");
  ASSERT_TRUE(std::regex_search(std::string("orchestrator/core/string_utils.h"), vague));
  for (const Source& source : sources())
    EXPECT_FALSE(std::regex_search(source.path, vague)) << source.path << ": say what it is";
}

TEST(House, FilesFitTheEye) {
  for (const Source& source : sources())
    EXPECT_LE(source.lines.size(), lines_max) << source.path << ": split it by what it does";
}

TEST(House, EveryHeaderSaysWhatItIsAndIsReadOnce) {
  for (const Source& source : sources()) {
    if (!source.path.ends_with(".h")) continue;
    ASSERT_GE(source.lines.size(), 2u) << source.path;
    EXPECT_TRUE(source.lines[0].starts_with("// ")) << source.path << ": a header starts with what it is";
    const bool once = std::find(source.lines.begin(), source.lines.end(), "#pragma once") != source.lines.end();
    EXPECT_TRUE(once) << source.path << ": #pragma once";
  }
}

TEST(House, EveryFolderSaysWhatItIs) {
  std::string without;
  for (const char* top : {"budgets", "evals", "kernels", "workers", "orchestrator", "tests", "configs", "docs"}) {
    std::vector<fs::path> folders{fs::path(OVERNIGHT_SOURCE) / top};
    for (const auto& entry : fs::recursive_directory_iterator(folders.front())) {
      if (entry.is_directory() && entry.path().filename() != "__pycache__") folders.push_back(entry.path());
    }
    for (const fs::path& folder : folders) {
      if (!fs::exists(folder / "README.md")) without += " " + folder.string();
    }
  }
  EXPECT_EQ(without, "") << "a short README.md: what it is, and where to begin";
}

}  // namespace
