// Code that must run in another process: as another user, on a disk of its own, or to be killed. What it finds wrong
// comes back as text; empty: all was as it should be.
#pragma once

#include <functional>
#include <string>

namespace overnight::store {

// Runs `code` in a child as an unprivileged user (as ourselves, if that is what we are).
std::string as_nobody(const std::function<std::string()>& code);

// Runs `code` in a child with a file system of `bytes` mounted at `folder`. "skipped: ..." where that is not allowed.
std::string on_small_disk(const std::string& folder, std::size_t bytes, const std::function<std::string()>& code);

// Makes what is mounted at `folder` read-only, or writable again; in such a child only.
bool make_read_only(const std::string& folder);

}  // namespace overnight::store
