// Finished trials of a run, in order of completion, as proposers may see them. A value that is cheap to copy: what was
// told never changes, so copies share it, and each ask gets the history as it was without copying thousands of trials.
//
// A copy may be read on another thread while the original grows; one object is used by one thread at a time.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <initializer_list>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "orchestrator/core/ids.h"
#include "orchestrator/core/space.h"

namespace overnight::ports {

// A finished trial, as proposers may see it: validation scores only.
struct KnownTrial {
  core::ExperimentId experiment{};
  core::Params params;
  std::optional<double> score;  // none: it failed
  std::string failure;          // cause and phase when it failed: "out_of_memory in train"
  std::string proposer;
  std::string hypothesis;
  bool operator==(const KnownTrial&) const = default;
};

class History {
 public:
  class Iterator {
   public:
    using iterator_category = std::forward_iterator_tag;
    using value_type = KnownTrial;
    using difference_type = std::ptrdiff_t;
    using pointer = const KnownTrial*;
    using reference = const KnownTrial&;

    Iterator() = default;
    Iterator(const History* history, std::size_t at) : history_(history), at_(at) {}
    reference operator*() const { return (*history_)[at_]; }
    pointer operator->() const { return &(*history_)[at_]; }
    Iterator& operator++() { return ++at_, *this; }
    Iterator operator++(int) { return {history_, at_++}; }
    bool operator==(const Iterator&) const = default;

   private:
    const History* history_ = nullptr;
    std::size_t at_ = 0;
  };
  using value_type = KnownTrial;
  using const_iterator = Iterator;

  History() = default;
  History(std::initializer_list<KnownTrial> trials) {
    for (const KnownTrial& trial : trials) push_back(trial);
  }

  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  const KnownTrial& operator[](std::size_t i) const { return blocks_[i / block_size]->trials[i % block_size]; }
  const KnownTrial& back() const { return (*this)[size_ - 1]; }
  Iterator begin() const { return {this, 0}; }
  Iterator end() const { return {this, size_}; }

  void push_back(KnownTrial trial) {
    const std::size_t at = size_ % block_size;
    if (at == 0) {
      blocks_.push_back(std::make_shared<Block>());
      blocks_.back()->used = 1;
    } else if (std::size_t expected = at; !blocks_.back()->used.compare_exchange_strong(expected, at + 1)) {
      // A copy went on in another way: from here on this one has a block of its own.
      auto own = std::make_shared<Block>();
      std::copy_n(blocks_.back()->trials.begin(), at, own->trials.begin());
      own->used = at + 1;
      blocks_.back() = std::move(own);
    }
    blocks_.back()->trials[at] = std::move(trial);
    ++size_;
  }

  // Whether this is `earlier`, grown or as it was. Compares what is shared, not trial by trial: an equal history that
  // was put together anew says no.
  bool continues(const History& earlier) const {
    if (earlier.size_ > size_) return false;
    return earlier.blocks_.empty() || blocks_[earlier.blocks_.size() - 1] == earlier.blocks_.back();
  }

 private:
  static constexpr std::size_t block_size = 128;

  struct Block {
    std::vector<KnownTrial> trials = std::vector<KnownTrial>(block_size);  // never moves: readers need no lock
    std::atomic<std::size_t> used = 0;                                     // by whichever history went furthest
  };

  std::vector<std::shared_ptr<Block>> blocks_;
  std::size_t size_ = 0;
};

}  // namespace overnight::ports
