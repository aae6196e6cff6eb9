// The device of a CUDA program: its stream, memory, graphs, events.
#include "kernels/cuda/best_product.cuh"
#include "kernels/cuda/device.h"

namespace overnight::kernels {
namespace cuda {

static_assert(LibraryProducts::workspace_bytes <= workspace_bytes);
extern const BackendOf<float> float_table;
extern const BackendOf<bfloat16, float> bfloat16_table;
extern const DeviceOps cuda_ops;

namespace {

thread_local LibraryProducts* current_library = nullptr;

std::string dotted(int version) { return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10); }

void check_memory(cudaError_t status, const char* what, std::size_t bytes) { check(status, (std::string(what) + ", " + std::to_string(bytes) + " bytes").c_str()); }

// Whether the GPUs that CUDA_VISIBLE_DEVICES names (a slot's, by the keeper) ought to be there; hidden ones need not.
bool promised() {
  const char* given = std::getenv("CUDA_VISIBLE_DEVICES");
  const std::string_view names = given != nullptr ? given : "";
  return !names.empty() && names != "NoDevFiles" && !names.starts_with('-');
}

// Why there is no GPU, of which a driver or its silence told; `broken` as of OpenedDevice.
OpenedDevice none_because(cudaError_t status) {
  int driver = 0, runtime = 0;
  cudaDriverGetVersion(&driver);
  cudaRuntimeGetVersion(&runtime);
  if (status == cudaErrorInsufficientDriver && driver > 0) {
    return {nullptr, "the NVIDIA driver is for CUDA " + dotted(driver) + ", older than this program's CUDA " + dotted(runtime), true};
  }
  if (status == cudaErrorInsufficientDriver) return {nullptr, "no NVIDIA driver answers", promised()};
  const std::string why = status == cudaSuccess ? "" : std::string(": ") + cudaGetErrorString(status);
  return {nullptr, "CUDA finds no GPU" + why, promised() || (status != cudaSuccess && status != cudaErrorNoDevice)};
}

class Graph final : public Device::Recording {
 public:
  Graph(cudaStream_t stream, const std::function<void()>& launches) : stream_(stream) {
    check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "record");
    cudaGraph_t graph = nullptr;
    try {
      launches();
    } catch (...) {
      cudaStreamEndCapture(stream, &graph);
      if (graph != nullptr) cudaGraphDestroy(graph);
      throw;
    }
    check(cudaStreamEndCapture(stream, &graph), "record");
    const cudaError_t status = cudaGraphInstantiate(&graph_, graph, 0);
    cudaGraphDestroy(graph);
    check(status, "record");
  }
  ~Graph() override {
    if (graph_ != nullptr) cudaGraphExecDestroy(graph_);
  }
  void play() override { check(cudaGraphLaunch(graph_, stream_), "play"); }

 private:
  cudaStream_t stream_;
  cudaGraphExec_t graph_ = nullptr;
};

class CudaDevice final : public Device {
 public:
  CudaDevice(const cudaDeviceProp& properties, const std::string& products) : name_(properties.name) {
    if (launching.workspace != nullptr) throw DeviceError("this thread has opened a device already");
    check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "stream");
    void* workspace = nullptr;
    check_memory(cudaMalloc(&workspace, workspace_bytes), "workspace", workspace_bytes);
    products_ = std::make_unique<LibraryProducts>(name_, products, stream_, workspace);
    launching = {.stream = stream_, .workspace = workspace};
    current_library = products_.get();
  }
  ~CudaDevice() override {
    cudaStreamSynchronize(stream_);
    current_library = nullptr;
    products_.reset();
    cudaFree(launching.workspace);
    cudaStreamDestroy(stream_);
    launching = {};
  }

  DeviceFacts facts() const override {
    std::size_t free = 0, all = 0;
    int driver = 0, runtime = 0;
    check(cudaMemGetInfo(&free, &all), "memory");
    check(cudaDriverGetVersion(&driver), "driver");
    check(cudaRuntimeGetVersion(&runtime), "runtime");
    return {name_, "CUDA " + dotted(runtime) + ", driver for CUDA " + dotted(driver) + ", cuBLASLt " + products_->version(), all, free};
  }

  const BackendOf<float>& floats() const override { return float_table; }
  const BackendOf<bfloat16, float>& bfloat16s() const override { return bfloat16_table; }
  const DeviceOps& ops() const override { return cuda_ops; }

  void* allocate(std::size_t bytes) override {
    void* made = nullptr;
    check_memory(cudaMalloc(&made, std::max<std::size_t>(bytes, 1)), "allocate", bytes);
    return made;
  }
  void release(void* memory) override { cudaFree(memory); }
  void* allocate_host(std::size_t bytes) override {
    void* made = nullptr;
    check_memory(cudaMallocHost(&made, std::max<std::size_t>(bytes, 1)), "allocate on the host", bytes);
    return made;
  }
  void release_host(void* memory) override { cudaFreeHost(memory); }

  void to_device(void* to, const void* from, std::size_t bytes) override {
    if (bytes > 0) check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, stream_), "copy to the device");
  }
  void to_host(void* to, const void* from, std::size_t bytes) override {
    if (bytes > 0) check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, stream_), "copy to the host");
  }
  void zero(void* at, std::size_t bytes) override {
    if (bytes > 0) check(cudaMemsetAsync(at, 0, bytes, stream_), "zero");
  }
  void wait() override { check(cudaStreamSynchronize(stream_), "wait"); }

  std::unique_ptr<Recording> record(const std::function<void()>& launches) override { return std::make_unique<Graph>(stream_, launches); }
  void tune(bool on) override { products_->tune(on); }
  std::string keep_tuned() override { return products_->keep_found(); }
  void be_deterministic(bool on) override {
    launching.deterministic = on;
    products_->use_kept(!on);
  }

  Peaks measure_peaks() override {
    // Large products and far more bytes than a cache holds, unless there is no room for them.
    const bool roomy = facts().memory_free > std::uint64_t{4} << 30;
    const std::size_t side = roomy ? 8192 : 1024, bytes = (roomy ? std::size_t{512} : std::size_t{16}) << 20;
    const DeviceArray<float> room(*this, 3 * side * side);
    const DeviceArray<unsigned char> copied(*this, 2 * bytes);
    auto* numbers = reinterpret_cast<bfloat16*>(room.get());
    // Numbers of all kinds: products of zeros take less power, and so less time.
    each("measure", 2 * side * side, [=] __device__(std::size_t i) { numbers[i] = static_cast<float>(i * 2654435761u % 1021) / 1021 - 0.5f; });
    const auto product = [&](auto* a, std::size_t n) {
      using Real = std::remove_pointer_t<decltype(a)>;
      BestProducts::batched(a + 2 * n * n, n, MatrixOf<Real>{a, n, 1}, MatrixOf<Real>{a + n * n, 1, n}, n, n, n, nullptr, 1, 0, {});
    };
    const auto flops = [](std::size_t side) { return 2.0 * static_cast<double>(side * side * side); };
    const std::size_t float_side = side / 2;  // they take some fifteen times as long
    Peaks peaks;
    products_->tune(true);  // the best way, on a GPU that has come to its clock
    product(numbers, side);
    peaks.bfloat16_flops = flops(side) / seconds_of([&] { product(numbers, side); });
    float* floats = room.get();
    each("measure", 2 * side * side, [=] __device__(std::size_t i) { floats[i] = static_cast<float>(i * 2654435761u % 1021) / 1021 - 0.5f; });
    product(floats, float_side);
    peaks.float_flops = flops(float_side) / seconds_of([&] { product(floats, float_side); });
    products_->tune(false);
    peaks.bytes = 2.0 * static_cast<double>(bytes) / seconds_of([&] { copy(copied.get() + bytes, copied.get(), bytes); });
    return peaks;
  }

 private:
  // The shortest of a few runs, after one that does not count.
  template <typename Work>
  double seconds_of(const Work& work) {
    constexpr int runs = 8;
    cudaEvent_t began, ended;
    check(cudaEventCreate(&began), "measure");
    check(cudaEventCreate(&ended), "measure");
    work();
    float best = INFINITY;
    for (int i = 0; i < runs; ++i) {
      check(cudaEventRecord(began, stream_), "measure");
      work();
      check(cudaEventRecord(ended, stream_), "measure");
      check(cudaEventSynchronize(ended), "measure");
      float took = 0;
      check(cudaEventElapsedTime(&took, began, ended), "measure");
      best = std::min(best, took);
    }
    cudaEventDestroy(began);
    cudaEventDestroy(ended);
    return std::max(1e-9, static_cast<double>(best) * 1e-3);
  }

  std::string name_;
  cudaStream_t stream_ = nullptr;
  std::unique_ptr<LibraryProducts> products_;
};

}  // namespace

LibraryProducts* library_products() { return current_library; }

}  // namespace cuda

OpenedDevice open_device(const std::string& products) {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status != cudaSuccess || count == 0) return cuda::none_because(status);
  try {
    cudaDeviceProp properties{};
    cuda::check(cudaGetDeviceProperties(&properties, 0), "properties");
    if (properties.major < 8) return {nullptr, std::string(properties.name) + " is older than compute capability 8.0, which bfloat16 needs", cuda::promised()};
    cuda::check(cudaSetDevice(0), "set device");
    return {std::make_unique<cuda::CudaDevice>(properties, products), ""};
  } catch (const DeviceOutOfMemory&) {
    throw;
  } catch (const DeviceError& failed) {
    return {nullptr, failed.what(), true};
  }
}

}  // namespace overnight::kernels
