// Folders that a task filled, walked by whoever comes after it: never following a link, whatever their depth, and even
// where the task locked them (chmod 000), since they belong to the same user.
#pragma once

#include "workers/keeper/descriptor.h"

namespace overnight::workers {

// A folder in `parent`, for listing; a locked one is given back to its owner first. errno tells why it failed.
Descriptor open_unlocked(int parent, const char* name);

// Removes what `name` is, with all below it. False if something could not be removed. What wrote here must be dead.
bool remove_tree(int parent, const char* name);

}  // namespace overnight::workers
