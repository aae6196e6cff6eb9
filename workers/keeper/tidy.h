// The end of an attempt's folder: what stays is what the keeper wrote and the artifacts; all else that a task left in
// it goes, however deep, many or locked. No process of the attempt may be alive.
#pragma once

#include <string>

namespace overnight::workers {

// False if the folder cannot be opened or something could not be removed.
bool tidy(const std::string& attempt_folder);

}  // namespace overnight::workers
