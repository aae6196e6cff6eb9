#include "kernels/cuda/kept_products.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cctype>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <system_error>

namespace overnight::kernels::cuda {
namespace {

namespace fs = std::filesystem;

constexpr std::uintmax_t file_bytes_max = 4 << 20;
constexpr char kind_of_file[] = "overnight-products-1 ";

// A file's name of a GPU's: letters and digits.
std::string plain(const std::string& name) {
  std::string made;
  for (const char c : name) made += std::isalnum(static_cast<unsigned char>(c)) ? c : '-';
  return made;
}

fs::path cache_folder() {
  if (const char* cache = std::getenv("XDG_CACHE_HOME"); cache != nullptr && *cache == '/')
    return fs::path(cache) / "overnight";
  if (const char* home = std::getenv("HOME"); home != nullptr && *home == '/')
    return fs::path(home) / ".cache" / "overnight";
  return {};
}

bool is_of_this_kind(const fs::path& file) {
  char begin[sizeof kind_of_file] = {};
  std::ifstream(file).read(begin, sizeof kind_of_file - 1);
  return std::string(begin) == kind_of_file;
}

// A line a way: the key's numbers, then the way's.
bool read_line(const std::string& line, ProductKey& k, ProductWay& way) {
  std::istringstream words(line);
  std::uint32_t in_kind = 0, out_kind = 0;
  words >> k.rows >> k.columns >> k.depth >> k.stride >> k.a_stride >> k.b_stride >> k.count >> k.a_apart >>
      k.b_apart >> k.out_apart >> in_kind >> out_kind >> k.a_turned >> k.b_turned >> k.adds >> k.in_place >>
      k.alignment;
  for (auto& word : way) words >> word;
  if (!words || in_kind > 1 || out_kind > 1) return false;
  k.in = static_cast<NumberKind>(in_kind), k.out = static_cast<NumberKind>(out_kind);
  return (words >> std::ws).eof();
}

void write_line(std::ostream& out, const ProductKey& k, const ProductWay& way) {
  for (const std::uint64_t number :
       {k.rows, k.columns, k.depth, k.stride, k.a_stride, k.b_stride, k.count, k.a_apart, k.b_apart, k.out_apart,
        std::uint64_t(k.in), std::uint64_t(k.out), std::uint64_t(k.a_turned), std::uint64_t(k.b_turned),
        std::uint64_t(k.adds), std::uint64_t(k.in_place), std::uint64_t(k.alignment)})
    out << number << ' ';
  for (std::size_t i = 0; i < way.size(); ++i) out << way[i] << (i + 1 < way.size() ? ' ' : '\n');
}

}  // namespace

KeptProducts::KeptProducts(const std::string& gpu, const std::string& version, fs::path file)
    : file_(std::move(file)), made_for_(kind_of_file + plain(gpu) + ' ' + version) {
  if (const auto folder = cache_folder(); file_.empty() && !folder.empty())
    file_ = folder / ("products-" + plain(gpu) + "-" + version);
  read();
}

void KeptProducts::read() {
  std::error_code failed;
  if (!fs::is_regular_file(file_, failed) || fs::file_size(file_, failed) > file_bytes_max) return;
  std::ifstream in(file_);
  std::string made_for;
  if (!std::getline(in, made_for) || made_for != made_for_) return;
  for (std::string line; ways_.size() < ways_max && std::getline(in, line);) {
    ProductKey key;
    ProductWay way{};
    if (read_line(line, key, way)) ways_.try_emplace(key, way);  // what was found here stands
  }
}

const ProductWay* KeptProducts::find(const ProductKey& key) const {
  const auto at = ways_.find(key);
  return at != ways_.end() ? &at->second : nullptr;
}

void KeptProducts::keep(const ProductKey& key, const ProductWay& way) {
  if (ways_.size() < ways_max || ways_.contains(key)) ways_[key] = way;
}

std::string KeptProducts::write() {
  if (file_.empty()) return "there is no cache folder to keep products in: HOME is not set";
  const std::string cannot = "products cannot be kept in " + file_.string() + ": ";
  std::error_code failed;
  if (fs::exists(file_, failed)) {
    if (!fs::is_regular_file(file_, failed)) return cannot + "it is not a file";
    if (fs::file_size(file_, failed) > 0 && !is_of_this_kind(file_)) return cannot + "it holds something else";
  }
  if (file_.has_parent_path()) fs::create_directories(file_.parent_path(), failed);
  read();  // what others found meanwhile
  std::ostringstream lines;
  lines << made_for_ << '\n';
  for (const auto& [key, way] : ways_) write_line(lines, key, way);
  // Programs in namespaces of their own have the same process number: only the file system knows a name that is free.
  std::string made = file_.string() + ".XXXXXX";
  const int place = ::mkostemp(made.data(), O_CLOEXEC);
  if (place < 0) return cannot + std::strerror(errno);
  const std::string text = lines.str();
  errno = 0;
  const bool whole = ::write(place, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  const int why = whole ? 0 : errno != 0 ? errno : ENOSPC;  // a part alone: the disk is full
  ::fchmod(place, 0644);
  ::close(place);
  if (whole) fs::rename(made, file_, failed);
  if (whole && !failed) return "";
  std::error_code gone;
  fs::remove(made, gone);
  return cannot + (whole ? failed.message() : std::strerror(why));
}

}  // namespace overnight::kernels::cuda
