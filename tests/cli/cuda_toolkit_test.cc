#include "orchestrator/cli/cuda_toolkit.h"

#include <gtest/gtest.h>

#include "tests/cli/scratch.h"

namespace overnight::cli {
namespace {

TEST(CudaToolkit, SaysItsVersionInTheMiddleOfMuch) {
  EXPECT_EQ(version_in("nvcc: NVIDIA (R) Cuda compiler driver\nBuilt on Thu_Mar_28\n"
                       "Cuda compilation tools, release 12.4, V12.4.131\nBuild cuda_12.4.r12.4/compiler.34097967_0\n"),
            "12.4.131");
  EXPECT_EQ(version_in("command not found"), "");
}

TEST(CudaToolkit, IsTheFirstCompilerInThePath) {
  const Scratch folder;
  folder.program("none/nvcc.txt", "echo V1.0");
  const std::string second = folder.program("it's second/nvcc", "echo tools, release 11.8, V11.8.89");
  folder.program("third/nvcc", "echo V9.0.1");
  const std::string path = folder.path() + "/none::" + folder.path() + "/it's second:" + folder.path() + "/third";
  EXPECT_EQ(find_cuda_toolkit(path), (CudaToolkit{second, "11.8.89"}));
}

TEST(CudaToolkit, MayTellNoVersion) {
  const Scratch folder;
  folder.program("bin/nvcc", "exit 1");
  EXPECT_EQ(find_cuda_toolkit(folder.path() + "/bin")->version, "");
}

}  // namespace
}  // namespace overnight::cli
