// A fixed number of threads that do one thing at a time, side by side, and wait for each other. A resource; owns its
// threads. What is run must not throw.
#pragma once

#include <barrier>
#include <cstddef>
#include <functional>
#include <thread>
#include <vector>

namespace overnight::workers {

class Crew {
 public:
  // The calling thread is one of the `size`.
  explicit Crew(std::size_t size);
  ~Crew();
  Crew(const Crew&) = delete;
  Crew& operator=(const Crew&) = delete;

  // work(0) .. work(size - 1), each on a thread of its own; returns when all are done.
  void run(const std::function<void(std::size_t)>& work);
  std::size_t size() const { return threads_.size() + 1; }

 private:
  void serve(std::size_t index);

  std::barrier<> start_, done_;
  const std::function<void(std::size_t)>* work_ = nullptr;  // null: the threads end
  std::vector<std::thread> threads_;
};

}  // namespace overnight::workers
