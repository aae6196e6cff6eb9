#include "workers/keeper/environment.h"

#include <pwd.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <sstream>

namespace overnight::workers {
namespace {

using Environment = std::map<std::string, std::string>;

constexpr const char* default_path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

// The usual places where ML programs leave things behind: one attempt must not see another's.
void add_private_folders(Environment& env, const PhasePlace& place) {
  env["HOME"] = place.home;
  env["TMPDIR"] = place.temporary;
  const std::string cache = place.home + "/.cache";
  env["XDG_CACHE_HOME"] = cache;
  env["XDG_CONFIG_HOME"] = place.home + "/.config";
  env["XDG_DATA_HOME"] = place.home + "/.local/share";
  env["XDG_STATE_HOME"] = place.home + "/.local/state";
  env["TORCH_HOME"] = cache + "/torch";
  env["TORCHINDUCTOR_CACHE_DIR"] = cache + "/torchinductor";
  env["TRITON_CACHE_DIR"] = cache + "/triton";
  env["CUDA_CACHE_PATH"] = cache + "/nv";
  env["HF_HOME"] = cache + "/huggingface";
  env["MPLCONFIGDIR"] = place.home + "/.config/matplotlib";
  env["NUMBA_CACHE_DIR"] = cache + "/numba";
  env["PYTHONPYCACHEPREFIX"] = cache + "/pycache";
  env["WANDB_DIR"] = place.temporary;
}

// By /etc/passwd itself: a program without a loader has no other user database. Who is not in it is a number.
std::string own_user() {
  std::string name = std::to_string(::getuid());
  const std::unique_ptr<FILE, int (*)(FILE*)> file(::fopen("/etc/passwd", "re"), ::fclose);
  while (const passwd* entry = file ? ::fgetpwent(file.get()) : nullptr) {
    if (entry->pw_uid == ::getuid()) name = entry->pw_name;
    if (entry->pw_uid == ::getuid()) break;
  }
  return name;
}

// Who runs this is no secret, and programs ask for it (getpass.getuser in torch's compiler, for one).
void add_user(Environment& env, const InheritedEnvironment& inherited) {
  for (const char* name : {"USER", "LOGNAME"}) {
    auto found = inherited.find(name);
    env[name] = found ? std::move(*found) : own_user();
  }
}

std::size_t cpus_of(const Order& order) {
  if (!order.cpus.empty()) return order.cpus.size();
  cpu_set_t all;
  CPU_ZERO(&all);
  if (::sched_getaffinity(0, sizeof all, &all) != 0) return 1;
  return static_cast<std::size_t>(std::max(1, CPU_COUNT(&all)));
}

void add_thread_counts(Environment& env, const std::string& cpus) {
  for (const char* name : {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"}) {
    env[name] = cpus;
  }
}

void pass_on(Environment& env, const Order& order, const InheritedEnvironment& inherited) {
  for (const auto& name : order.env_pass) {
    const bool secret = std::find(order.env_secret.begin(), order.env_secret.end(), name) != order.env_secret.end();
    if (secret || name.starts_with("OVERNIGHT_")) continue;
    if (auto found = inherited.find(name)) env[name] = std::move(*found);
  }
}

void add_secrets(Environment& env, const PhaseOrder& phase, const InheritedEnvironment& inherited) {
  for (const auto& name : phase.secrets) {
    if (auto found = inherited.find(name)) env[name] = std::move(*found);
  }
}

void merge(Environment& env, const Environment& more) {
  for (const auto& [name, value] : more) env[name] = value;
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const auto& word : words) text += (text.empty() ? "" : ",") + word;
  return text;
}

std::string as_seconds(std::int64_t ms) {
  char text[32];
  std::snprintf(text, sizeof text, "%lld.%03d", static_cast<long long>(ms / 1000), static_cast<int>(ms % 1000));
  return text;
}

bool is_program(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) && ::access(path.c_str(), X_OK) == 0;
}

}  // namespace

std::map<std::string, std::string> environment_of(const Order& order, const PhaseOrder& phase, const PhasePlace& place,
                                                  const InheritedEnvironment& inherited, std::int64_t deadline_unix_ms,
                                                  const std::string& program_folder) {
  const std::string cpus = std::to_string(cpus_of(order));
  Environment env{{"PATH", default_path}, {"LANG", "C.UTF-8"}, {"PYTHONUNBUFFERED", "1"}};
  add_user(env, inherited);
  add_private_folders(env, place);
  add_thread_counts(env, cpus);
  pass_on(env, order, inherited);
  merge(env, order.env);
  merge(env, phase.env);
  add_secrets(env, phase, inherited);
  env["PATH"] += ":" + program_folder;  // overnight-train and overnight-eval lie beside the keeper
  env["PWD"] = place.work;
  env["CUDA_VISIBLE_DEVICES"] = joined(order.gpus);
  env["OVERNIGHT_EXPERIMENT"] = order.directory + "/experiment.json";
  env["OVERNIGHT_METRICS"] = order.directory + "/metrics.jsonl";
  env["OVERNIGHT_ARTIFACTS"] = order.directory + "/artifacts";
  env["OVERNIGHT_PHASE"] = std::string(name_of(phase.phase));
  env["OVERNIGHT_RUN"] = order.run;
  env["OVERNIGHT_TRIAL"] = std::to_string(order.trial);
  env["OVERNIGHT_ATTEMPT"] = std::to_string(order.attempt);
  env["OVERNIGHT_SEED"] = std::to_string(order.seed);
  env["OVERNIGHT_CPUS"] = cpus;
  if (deadline_unix_ms > 0) env["OVERNIGHT_DEADLINE"] = as_seconds(deadline_unix_ms);
  return env;
}

std::string find_program(const std::string& name, const std::string& path, const std::string& work) {
  const auto from_work = [&](const std::string& file) { return file.starts_with('/') ? file : work + "/" + file; };
  if (name.find('/') != std::string::npos) return is_program(from_work(name)) ? from_work(name) : std::string();
  std::istringstream folders(path);
  for (std::string folder; std::getline(folders, folder, ':');) {
    const std::string candidate = from_work((folder.empty() ? "." : folder) + "/" + name);
    if (is_program(candidate)) return candidate;
  }
  return {};
}

}  // namespace overnight::workers
