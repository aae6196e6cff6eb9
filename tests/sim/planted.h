// Bugs that are put into the core on purpose, to see that the simulator finds them. They are applied around `step` by
// the linker (--wrap), in the simulator alone: the shipped code knows nothing of them.
#pragma once

#include <array>
#include <string_view>

namespace overnight::sim {

enum class Bug {
  none,
  launch_twice,          // one decision launches two attempts on one slot
  forget_to_settle,      // an attempt's slot time is not counted
  count_twice,           // a finished trial is recorded twice
  ignore_the_grant,      // slot time without limit
  launch_behind_a_hold,  // a hold holds nothing
  confirm_halts_early,   // a halt is confirmed before anything is gone
  forget_a_row,          // a change is not written
  admit_duplicates,      // seen points are forgotten
  forget_a_deadline,     // nobody is woken after a back-off
  lose_an_experiment,    // a crash swallows a queued experiment
  forget_the_report,     // an end is not reported
  repeat_a_seed,         // a confirmation runs on the seed of the search
  call_the_living_lost,  // an observation contradicts what it lists
};

struct PlantedBug {
  Bug bug;
  std::string_view name;
  std::string_view found_by;  // the invariant that must find it
};

inline constexpr std::array planted_bugs{
    PlantedBug{Bug::launch_twice, "launch_twice", "a slot never holds two live processes"},
    PlantedBug{Bug::forget_to_settle, "forget_to_settle", "slot time settled is the time that the world used"},
    PlantedBug{Bug::count_twice, "count_twice", "a trial is finished once"},
    PlantedBug{Bug::ignore_the_grant, "ignore_the_grant", "no grant is passed but by an overrun"},
    PlantedBug{Bug::launch_behind_a_hold, "launch_behind_a_hold", "nothing but a canary starts behind a hold"},
    PlantedBug{Bug::confirm_halts_early, "confirm_halts_early", "a halt is confirmed only when nothing is alive"},
    PlantedBug{Bug::forget_a_row, "forget_a_row", "what is committed is what the core holds"},
    PlantedBug{Bug::admit_duplicates, "admit_duplicates", "no point is admitted twice in a run"},
    PlantedBug{Bug::forget_a_deadline, "forget_a_deadline", "no run waits for nothing"},
    PlantedBug{Bug::lose_an_experiment, "lose_an_experiment", "every experiment of an ended run came to an end"},
    PlantedBug{Bug::forget_the_report, "forget_the_report", "every end is reported"},
    PlantedBug{Bug::repeat_a_seed, "repeat_a_seed", "no seed is run twice for an experiment"},
    PlantedBug{Bug::call_the_living_lost, "call_the_living_lost", "what is called gone is gone in the world"},
};

// From now on, in this process.
void plant(Bug bug);

}  // namespace overnight::sim
