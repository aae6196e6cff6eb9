// The task of the process benchmarks: says when it was started and when it ended, by itself, so that the measure is
// nobody's but ours. Linked statically and without iostreams: what is measured is the orchestrator, not a loader.
//
//   stamped_task STAMPS EXPERIMENT_JSON              prints a loss, ends
//   stamped_task STAMPS EXPERIMENT_JSON lasting      the same after half a second of rest, as if a GPU worked
//   stamped_task STAMPS EXPERIMENT_JSON deaf         forks a child, ignores SIGTERM, never ends
//
// The start is the program's first instruction, before the C library begins: what that costs (in a virtual machine some
// milliseconds, for it asks the processor what it can) is the task's own.
//
// STAMPS gets a line "ATTEMPT START_NS END_NS" (CLOCK_REALTIME); the attempt's number is the name of the folder that
// EXPERIMENT_JSON lies in.
#include <fcntl.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

#ifdef OVERNIGHT_OWN_ENTRY
// Entered instead of _start (tests/bench/CMakeLists.txt): asks the kernel for the time (clock_gettime of
// CLOCK_REALTIME) and goes on, with rdx as the kernel set it.
extern "C" timespec first_instruction;
timespec first_instruction;
asm(R"(
  .globl stamped_start
  stamped_start:
    mov %rdx, %r12
    mov $228, %eax
    xor %edi, %edi
    lea first_instruction(%rip), %rsi
    syscall
    mov %r12, %rdx
    jmp _start
)");
#endif

namespace {

long long ns(const timespec& time) { return static_cast<long long>(time.tv_sec) * 1'000'000'000 + time.tv_nsec; }

long long now_ns() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return ns(now);
}

long long start_ns() {
#ifdef OVERNIGHT_OWN_ENTRY
  return ns(first_instruction);
#else
  return now_ns();
#endif
}

// "…/attempts/17/experiment.json" -> 17
long long attempt_of(const char* path) {
  const char* end = std::strrchr(path, '/');
  if (end == nullptr) return -1;
  long long number = 0, power = 1;
  for (const char* at = end - 1; at >= path && *at >= '0' && *at <= '9'; --at, power *= 10)
    number += (*at - '0') * power;
  return number;
}

void stamp(const char* path, long long attempt, long long start) {
  char line[96];
  const int size = std::snprintf(line, sizeof line, "%lld %lld %lld\n", attempt, start, now_ns());
  const int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  if (fd >= 0 && write(fd, line, static_cast<std::size_t>(size)) != size) _exit(1);
}

}  // namespace

int main(int argc, char** argv) {
  const long long start = start_ns();
  if (argc < 3) return 2;
  if (argc > 3 && std::strcmp(argv[3], "lasting") == 0) {
    const timespec rest{0, 500'000'000};
    nanosleep(&rest, nullptr);
  } else if (argc > 3) {
    signal(SIGTERM, SIG_IGN);
    if (fork() >= 0) stamp(argv[1], attempt_of(argv[2]), start);
    while (true) pause();
  }
  if (write(STDOUT_FILENO, "loss: 0.5\n", 10) != 10) return 1;
  stamp(argv[1], attempt_of(argv[2]), start);
  return 0;
}
