// Commands and patterns as a study writes them. Private to orchestrator/study.
#pragma once

#include "orchestrator/study/reader.h"

namespace overnight::study {

// Splits a command line as a shell does with blanks, quotes and backslashes, and nothing else; none if a quote is left
// open.
std::optional<std::vector<std::string>> split_command(const std::string& line);

// `command` of this section: a list of words, or a line that is split. Required; reports what is wrong. "{study}" is
// already the study's folder.
std::vector<std::string> read_command(Section& section, const std::filesystem::path& folder);

// `text` with the absolute study folder for "{study}". In a command (`braces` true) the folder's own braces are
// doubled, because the executor fills in the rest.
std::string with_study_folder(std::string text, const std::filesystem::path& folder, bool braces);

// Reports substitutions that stand for nothing, by the same rules as the executor fills them in.
void check_substitutions(Section& phase, const std::vector<std::string>& command, const core::Space& space);

// Reports what is no pattern with exactly one group, by the keeper's own engine.
void check_pattern(Section& section, const std::string& key, const std::string& pattern, const std::string& example);

}  // namespace overnight::study
