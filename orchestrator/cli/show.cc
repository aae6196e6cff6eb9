#include "orchestrator/cli/show.h"

#include <fmt/format.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

namespace overnight::cli {
namespace {

constexpr std::size_t events_kept = 64;
constexpr std::size_t event_width_max = 2000;
constexpr const char* hint = "Ctrl-C: let what runs end, then stop; twice: kill.   overnight halt: kill all, latched";

}  // namespace

Show::Show(bool plain) : console_(STDOUT_FILENO) {
  if (!plain && is_screen(STDOUT_FILENO)) screen_.emplace(STDOUT_FILENO);
}

void Show::tell(std::int64_t unix_ms, const std::string& kind, const std::string& text) {
  events_.push_back(clock_words(unix_ms) + "  " + fmt::format("{:<9}", kind) + " " + clean(text, event_width_max));
  if (events_.size() > events_kept) events_.pop_front();
  if (!screen_ && !lost_) console_.write(date_words(unix_ms).substr(0, 10) + " " + events_.back() + "\n");
}

void Show::draw(const std::function<nlohmann::json()>& view) {
  console_.flush();
  if (screen_ && console_.idle())
    console_.write(
        screen_->frame(cli::draw(view(), {events_.begin(), events_.end()}, screen_->size(), screen_->look(), hint)));
}

void Show::lose_terminal() {
  lost_ = true;
  screen_.reset();
  console_.abandon();
}

void Show::finish(const std::function<nlohmann::json()>& view) {
  if (screen_ && console_.idle())
    console_.write(
        screen_->frame(cli::draw(view(), {events_.begin(), events_.end()}, screen_->size(), screen_->look())));
  screen_.reset();
  console_.flush();
}

}  // namespace overnight::cli
