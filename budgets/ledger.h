// The book of what a run may spend, has promised and has spent.
//
// A value: State holds it and `step` alone changes it. Money moves first: reserve the worst case before an effect,
// settle with what it took, release what never started.
//
// What holds in every dimension, at every moment:
//   1. settled + reserved <= grant, overruns apart;
//   2. each reservation is closed exactly once, by settle or by release;
//   3. an overrun (more used than was reserved: a process that would not die) draws on what is left of the grant, is
//   counted
//      apart and is never hidden.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "budgets/cost.h"
#include "budgets/result.h"

namespace overnight::budgets {

enum class ReservationId : std::int64_t {};

// Why a reservation was refused, in words for the person who set the limit.
struct LedgerRefusal {
  std::string_view dimension;  // as in the study: "slot_time", "llm_cost", ...
  std::int64_t wanted = 0;     // in the dimension's unit
  std::int64_t left = 0;

  friend bool operator==(const LedgerRefusal&, const LedgerRefusal&) = default;
  std::string explain() const;
};

class Ledger {
 public:
  // All that a ledger is, for the store. `from` refuses nothing: what was stored was checked when it was made.
  struct Book {
    Cost grant;
    Cost settled;
    Cost overrun;
    std::map<ReservationId, Cost> open;
    std::int64_t next_id = 1;
    friend bool operator==(const Book&, const Book&) = default;
  };

  Ledger() : Ledger(Cost{}) {}
  explicit Ledger(const Cost& grant);
  static Ledger from(Book book);
  const Book& book() const { return book_; }

  // Would `worst_case` be granted now? Empty if it would.
  [[nodiscard]] Result<void, LedgerRefusal> affords(const Cost& worst_case) const;

  // Sets the worst case aside, or refuses and changes nothing.
  [[nodiscard]] Result<ReservationId, LedgerRefusal> reserve(const Cost& worst_case);

  // Closes a reservation with what was really used; the rest is free again.
  void settle(ReservationId id, const Cost& used);

  // Closes a reservation whose effect never started.
  void release(ReservationId id);

  // Closes a reservation whose use nobody can tell: at its worst case.
  void settle_unknown(ReservationId id);

  // Disk that was settled and is free again (artifacts deleted). Never more than was settled.
  void give_back(Bytes disk);

  // A larger or smaller grant, by a person. Below what is settled and reserved it stops all further reservations.
  void regrant(const Cost& grant) { book_.grant = grant; }

  bool is_open(ReservationId id) const { return book_.open.contains(id); }
  const Cost& grant() const { return book_.grant; }
  const Cost& settled() const { return book_.settled; }
  const Cost& reserved() const { return reserved_; }
  const Cost& overrun() const { return book_.overrun; }
  Cost left() const { return book_.grant - book_.settled - reserved_ - book_.overrun; }

  friend bool operator==(const Ledger&, const Ledger&) = default;

 private:
  Cost close(ReservationId id);

  Book book_;
  Cost reserved_;  // the sum of book_.open
};

}  // namespace overnight::budgets
