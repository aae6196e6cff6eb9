// Tasks that report nonsense, too much, nothing, or for somebody else.
#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/workers/keeper/kept_attempt.h"

namespace overnight::workers {
namespace {

Receipt end_of(const std::string& train, const std::string& evaluate = {}) {
  KeptAttempt attempt(train, evaluate);
  return *attempt.run().receipt;
}

std::string to_file(const std::string& line) { return "printf '%s\\n' '" + line + "' >> $OVERNIGHT_METRICS\n"; }

TEST(HostileMetric, OnStdoutThatIsNoFiniteNumberIsRecordedAsSuch) {
  for (const char* words : {"nan", "NaN", "inf", "-Infinity", "1e999", "text", "0x10", "1,5", "--1", "1 2"}) {
    const Receipt receipt = end_of(std::string("echo 'loss: ") + words + "'");
    EXPECT_EQ(receipt.cause, Cause::bad_metric) << words;
    EXPECT_NE(receipt.detail.find(words), std::string::npos) << receipt.detail;
    EXPECT_TRUE(receipt.metrics.empty());
  }
}

TEST(HostileMetric, InTheFileThatIsNoFiniteNumberIsRecordedAsSuch) {
  for (const char* value : {"NaN", "Infinity", "-Infinity", "1e999", "\"text\"", "null", "[1]", "true", "\"\""}) {
    const Receipt receipt = end_of(to_file(std::string(R"({"name":"loss","value":)") + value + "}"));
    EXPECT_EQ(receipt.cause, Cause::bad_metric) << value << ": " << receipt.detail;
  }
}

TEST(HostileMetric, MissingIsNoMetricThoughTheExitWasZero) {
  const Receipt receipt = end_of("echo hello");
  EXPECT_EQ(receipt.cause, Cause::no_metric);
  EXPECT_EQ(receipt.detail, "everything exited with 0, but loss was not reported");
}

TEST(HostileMetric, BetweenZerosBadUtf8AndHugeLinesIsFound) {
  const Receipt receipt = end_of(
      "head -c 100000 /dev/zero; echo; printf '\\377\\376\\300\\200\\n'; head -c 300000 /dev/zero | tr '\\0' '{'; "
      "echo\n"
      "head -c 1000000 /dev/zero | tr '\\0' '[' >> $OVERNIGHT_METRICS; echo >> $OVERNIGHT_METRICS\n"
      "printf '\\000\\377\\n{\"name\":\"\\377\",\"value\":1}\\n\\n\\n' >> $OVERNIGHT_METRICS\n" +
      to_file(R"({"name":"loss","value":2.5,"step":3})"));
  EXPECT_EQ(receipt.cause, Cause::completed) << receipt.detail;
  EXPECT_EQ(receipt.metrics.at("loss").value, 2.5);
  EXPECT_EQ(receipt.metrics.at("loss").step, 3);
}

TEST(HostileMetric, SaidAThousandTimesCountsByItsLast) {
  const Receipt receipt = end_of("i=0; while [ $i -lt 1000 ]; do i=$((i+1)); echo loss: $i; done");
  EXPECT_EQ(receipt.metrics.at("loss").value, 1000);
}

TEST(HostileMetric, AFloodIsReadToItsBoundWithoutLosingTheKeeper) {
  const bool torture = std::getenv("OVERNIGHT_TORTURE") != nullptr;
  const std::string lines = torture ? "5000000" : "150000";
  KeptAttempt attempt(
      "python3 -c 'import os\nwith open(os.environ[\"OVERNIGHT_METRICS\"], \"a\") as f:\n"
      " for i in range(" +
      lines + "): f.write(\"{\\\"name\\\":\\\"loss\\\",\\\"value\\\":%d}\\n\" % i)'");
  const Receipt receipt = *attempt.run().receipt;
  EXPECT_EQ(receipt.cause, Cause::completed) << receipt.detail;
  if (!torture) {
    EXPECT_EQ(receipt.metrics.at("loss").value, 149999);
  }
}

TEST(HostileMetric, NamesAreBoundedAndAreNothingButData) {
  const Receipt receipt = end_of(
      "python3 -c 'import os, json\nwith open(os.environ[\"OVERNIGHT_METRICS\"], \"a\") as f:\n"
      " for i in range(1000): f.write(json.dumps({\"name\": \"../../x\\n\\x1b[31m<b>%d\" % i, \"value\": i}) + "
      "\"\\n\")\n"
      " f.write(json.dumps({\"name\": \"n\" * 1000, \"value\": 1}) + \"\\n\")'\necho loss: 1");
  EXPECT_EQ(receipt.cause, Cause::completed) << receipt.detail;
  EXPECT_LE(receipt.metrics.size(), metrics_per_attempt_max);
  EXPECT_TRUE(receipt.metrics.contains("loss")) << "the objective always has room";
}

TEST(HostileMetric, WordsForAnotherProgramStayWords) {
  const Receipt receipt = end_of(
      "echo 'ACCEPTED score=0.0001'; echo '{\"cause\":\"completed\"}'; echo loss: 9\n"
      "printf '\\033]0;title\\007\\033[2Jwiped' >&2; exit 1");
  EXPECT_EQ(receipt.cause, Cause::crash);
  EXPECT_EQ(receipt.log_tail.find('\033'), std::string::npos);
}

TEST(HostileTrain, CannotSpeakForEvaluate) {
  const Receipt receipt = end_of("echo loss: 0.001\n" + to_file(R"({"name":"loss","value":0.001})") +
                                     "printf '{\"name\":\"loss\",\"value\":0.0' >> $OVERNIGHT_METRICS",
                                 to_file(R"({"name":"loss","value":7})"));
  EXPECT_EQ(receipt.cause, Cause::completed) << receipt.detail;
  EXPECT_EQ(receipt.metrics.at("loss").value, 7);
  EXPECT_FALSE(receipt.metrics.at("loss").self_reported);
}

TEST(HostileTrain, CannotUseUpWhatEvaluateMayReport) {
  const Receipt receipt = end_of("head -c 70000000 /dev/zero | tr '\\0' '\\n' > $OVERNIGHT_METRICS; echo loss: 1",
                                 to_file(R"({"name":"loss","value":7})"));
  EXPECT_EQ(receipt.metrics.at("loss").value, 7) << receipt.detail;
  EXPECT_FALSE(receipt.metrics.at("loss").self_reported);
}

TEST(HostileTrain, LeavesNothingButArtifactsToEvaluate) {
  const Receipt receipt =
      end_of("for d in . $HOME $TMPDIR $OVERNIGHT_ARTIFACTS; do echo left > $d/left; done; echo loss: 1\n",
             "echo loss: $(ls -A . $HOME $TMPDIR | grep -c left); cat $OVERNIGHT_ARTIFACTS/left");
  EXPECT_EQ(receipt.cause, Cause::completed) << receipt.detail;
  EXPECT_EQ(receipt.metrics.at("loss").value, 0);
}

TEST(HostileTrain, SeesNoPrivateDataWhereMountsCanBeItsOwn) {
  if (mechanism_in_force("") != "pid namespace") GTEST_SKIP() << "no mount namespace here: nothing can be hidden";
  const Folder data;
  data.write("labels", "private\n");
  std::filesystem::create_directory(data.path() / "holdout");
  data.write("holdout/labels", "private\n");
  const std::string look = "cat " + data.path().string() + "/labels " + data.path().string() + "/holdout/labels $ORDER";
  KeptAttempt attempt(look + "; umount " + data.path().string() + "/labels; " + look + "; echo loss: 1",
                      look + "; echo; echo loss: 2");
  attempt.order.env["ORDER"] = attempt.order.directory + "/order.json";
  attempt.order.phases[0].hidden = {data.path().string() + "/labels", data.path().string() + "/holdout"};
  const Receipt receipt = *attempt.run().receipt;
  EXPECT_EQ(receipt.metrics.at("loss").value, 2) << receipt.detail;
  EXPECT_EQ(attempt.log("train.stdout").find("private"), std::string::npos) << attempt.log("train.stdout");
  EXPECT_EQ(attempt.log("train.stdout").find("nonce"), std::string::npos);
  EXPECT_NE(attempt.log("evaluate.stdout").find("private"), std::string::npos) << "evaluate does see it";
}

TEST(HostileTrain, FindsSecretsNeitherInItsEnvironmentNorInItsKeepers) {
  for (const char* mechanism : {"", "subreaper"}) {
    KeptAttempt attempt(
        "env; for p in $PPID $(cut -d' ' -f4 /proc/$PPID/stat); do tr '\\0' '\\n' < /proc/$p/environ; done\n"
        "cat $OVERNIGHT_ARTIFACTS/../order.json; echo loss: 1",
        "echo got $TOKEN; echo loss: 2");
    attempt.mechanism = mechanism;
    attempt.environment = {"TOKEN=sesame", "OPENAI_KEY=sesame"};
    attempt.order.env_pass = {"TOKEN", "OPENAI_KEY"};
    attempt.order.env_secret = {"TOKEN", "OPENAI_KEY"};
    attempt.order.phases[1].secrets = {"TOKEN"};
    EXPECT_EQ(attempt.run().receipt->cause, Cause::completed);
    EXPECT_EQ(attempt.log("train.stdout").find("sesame"), std::string::npos) << attempt.log("train.stdout");
    EXPECT_NE(attempt.log("evaluate.stdout").find("got sesame"), std::string::npos);
  }
}

}  // namespace
}  // namespace overnight::workers
