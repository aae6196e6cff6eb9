#include "workers/model/crew.h"

#include "kernels/kernels.h"

namespace overnight::workers {

Crew::Crew(std::size_t size) : start_(static_cast<std::ptrdiff_t>(size)), done_(static_cast<std::ptrdiff_t>(size)) {
  kernels::flush_denormals();
  for (std::size_t i = 1; i < size; ++i) threads_.emplace_back([this, i] { serve(i); });
}

Crew::~Crew() {
  work_ = nullptr;
  if (!threads_.empty()) start_.arrive_and_wait();
  for (std::thread& thread : threads_) thread.join();
}

void Crew::run(const std::function<void(std::size_t)>& work) {
  if (threads_.empty()) return work(0);
  work_ = &work;
  start_.arrive_and_wait();
  work(0);
  done_.arrive_and_wait();
}

void Crew::serve(std::size_t index) {
  kernels::flush_denormals();
  while (true) {
    start_.arrive_and_wait();
    if (work_ == nullptr) return;
    (*work_)(index);
    done_.arrive_and_wait();
  }
}

}  // namespace overnight::workers
