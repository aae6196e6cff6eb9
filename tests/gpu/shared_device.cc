#include "tests/gpu/shared_device.h"

namespace overnight::kernels {
namespace {

OpenedDevice& opened() {
  static OpenedDevice one = open_device();
  return one;
}

template <typename Table>
const Table* table = nullptr;  // whose ops are waited for

template <typename Table, auto Op, typename... Arguments>
void call_and_wait(Arguments... arguments) {
  (table<Table>->*Op)(arguments...);
  opened().device->wait();
}
template <auto Op, typename Table, typename... Arguments>
void wait_after(Table& waiting, void (*Table::*)(Arguments...)) {
  waiting.*Op = call_and_wait<Table, Op, Arguments...>;
}

template <typename Table, auto... Ops>
Table waiting_for(const Table& plain) {
  table<Table> = &plain;
  Table waiting = plain;
  (wait_after<Ops>(waiting, Ops), ...);
  return waiting;
}
template <typename T>
T waiting(const T& plain) {
  return waiting_for<T, &T::copy, &T::zero, &T::product, &T::full_product, &T::linear_row, &T::embedding_forward,
                     &T::embedding_backward, &T::rmsnorm_forward, &T::rmsnorm_backward, &T::qk_forward, &T::qk_backward,
                     &T::attention_forward, &T::attention_backward, &T::state_space_forward, &T::state_space_backward,
                     &T::convolution_forward, &T::convolution_backward, &T::gate_forward, &T::gate_backward,
                     &T::skip_backward, &T::spread_forward, &T::spread_backward, &T::gain_forward, &T::gain_backward,
                     &T::mamba2_forward, &T::mamba2_backward, &T::mamba3_forward, &T::mamba3_backward,
                     &T::relu2_forward, &T::relu2_backward, &T::gelu_forward, &T::gelu_backward, &T::swiglu_forward,
                     &T::swiglu_backward, &T::softcap_forward, &T::blend_forward, &T::blend_backward,
                     &T::value_embedding_forward, &T::value_embedding_backward, &T::cross_entropy, &T::add>(plain);
}

}  // namespace

Device* shared_device() { return opened().device.get(); }
std::string why_no_device() { return opened().why_not; }

const Backend* waiting_floats() {
  if (shared_device() == nullptr) return nullptr;
  static const Backend made = waiting(shared_device()->floats());
  return &made;
}
const BackendOf<bfloat16, float>* waiting_bfloat16s() {
  if (shared_device() == nullptr) return nullptr;
  static const BackendOf<bfloat16, float> made = waiting(shared_device()->bfloat16s());
  return &made;
}

}  // namespace overnight::kernels
