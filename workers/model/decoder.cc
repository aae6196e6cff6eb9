#include "workers/model/decoder.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "budgets/invariant.h"

namespace overnight::workers {
namespace {

using Floats = std::vector<float>;

const kernels::Backend& backend() { return kernels::cpu_backend(); }

// out[outputs] = weights[outputs, inputs] * in, plus what is in `out` if `add`
void multiply(float* out, const float* weights, const float* in, std::size_t inputs, std::size_t outputs, bool add) {
  backend().linear_row(out, in, weights, inputs, outputs, add);
}

void normalize(Floats& out, const Floats& in) {
  float rstd = 0;
  backend().rmsnorm_forward(out.data(), &rstd, in.data(), 1, in.size());
}

std::size_t size(std::int64_t value) { return static_cast<std::size_t>(value); }

// The last rows of a short convolution's input.
struct Taps {
  std::size_t taps, channels;
  Floats rows;  // [taps, channels], the newest last
  Taps(std::size_t t, std::size_t c) : taps(t), channels(c), rows(t * c) {}
  void begin() { std::fill(rows.begin(), rows.end(), 0.0f); }
  std::size_t carried() const { return (taps - 1) * channels * sizeof(float); }

  void step(float* out, const float* in, const float* weights, const float* bias) {
    std::memmove(rows.data(), rows.data() + channels, (taps - 1) * channels * sizeof(float));
    std::memcpy(rows.data() + (taps - 1) * channels, in, channels * sizeof(float));
    for (std::size_t c = 0; c < channels; ++c) {
      float sum = bias[c];
      for (std::size_t t = 0; t < taps; ++t) sum += weights[t * channels + c] * rows[t * channels + c];
      out[c] = sum / (1 + std::exp(-sum));
    }
  }
};

}  // namespace

// Weights by their names within the layer.
class Decoder::Mixing {
 public:
  Mixing(const Decoder& decoder, std::string at) : decoder_(decoder), at_(std::move(at)) {}
  virtual ~Mixing() = default;
  virtual void begin() = 0;
  // stream += what the mixer makes of the normalised stream, of token number `position`.
  virtual void step(Floats& stream, const Floats& normed, std::int32_t token, std::size_t position) = 0;
  virtual std::size_t carried(std::size_t position) const = 0;  // in bytes

 protected:
  const float* weights(const char* name) const { return decoder_.parameter(at_ + name); }
  const ModelConfig& config() const { return decoder_.config_; }
  std::size_t width() const { return size(config().width); }

 private:
  const Decoder& decoder_;
  std::string at_;
};

namespace {

class Attending final : public Decoder::Mixing {
 public:
  Attending(const Decoder& decoder, const ModelConfig& c, std::size_t layer, std::size_t tokens_max)
      : Mixing(decoder, "layers." + std::to_string(layer) + ".attention."),
        shape_{.batch = 1,
               .context = tokens_max,
               .heads = size(c.heads),
               .head_size = size(c.width / c.heads),
               .kv_heads = size(c.key_heads()),
               .window = size(c.window_of(layer))},
        embeds_values_(c.embeds_values(layer)),
        turns_(tokens_max * shape_.head_size),
        row_(shape_.row()),
        rstd_(shape_.heads + shape_.key_heads()),
        keys_(tokens_max * kept()),
        values_(tokens_max * kept()),
        weights_(tokens_max),
        mixed_(shape_.width()) {
    kernels::rotary_table(turns_.data(), tokens_max, shape_.head_size, c.rope_base);
  }
  void begin() override {}
  std::size_t carried(std::size_t position) const override {
    const std::size_t tokens = shape_.window == 0 ? position : std::min(position, shape_.window - 1);
    return 2 * tokens * kept() * sizeof(float);
  }

  void step(Floats& stream, const Floats& normed, std::int32_t token, std::size_t t) override {
    multiply(row_.data(), weights("qkv"), normed.data(), width(), row_.size(), false);
    if (embeds_values_)
      backend().value_embedding_forward(row_.data(), normed.data(), width(), &token,
                                        {weights("value_table"), weights("value_gate")}, shape_, 1);
    backend().qk_forward(row_.data(), rstd_.data(), turns_.data(), shape_, t, 1);
    for (std::size_t h = 0; h < shape_.key_heads(); ++h) {
      const std::size_t from = shape_.width() + h * shape_.head_size;
      std::memcpy(&keys_[cached(h, t)], &row_[from], shape_.head_size * sizeof(float));
      std::memcpy(&values_[cached(h, t)], &row_[from + kept()], shape_.head_size * sizeof(float));
    }
    for (std::size_t h = 0; h < shape_.heads; ++h) attend(h, t);
    multiply(stream.data(), weights("out"), mixed_.data(), mixed_.size(), width(), true);
  }

 private:
  std::size_t kept() const { return shape_.key_heads() * shape_.head_size; }

  // Where token `t` of a key head lies: a head's tokens follow each other.
  std::size_t cached(std::size_t head, std::size_t t) const { return (head * shape_.context + t) * shape_.head_size; }

  void attend(std::size_t h, std::size_t t) {
    const std::size_t shared = h / (shape_.heads / shape_.key_heads()), first = shape_.first_seen(t),
                      seen = t + 1 - first;
    const float scale = 1 / std::sqrt(static_cast<float>(shape_.head_size));
    multiply(weights_.data(), &keys_[cached(shared, first)], &row_[h * shape_.head_size], shape_.head_size, seen,
             false);
    const float largest = *std::max_element(weights_.begin(), weights_.begin() + static_cast<std::ptrdiff_t>(seen));
    float* out = &mixed_[h * shape_.head_size];
    std::fill(out, out + shape_.head_size, 0.0f);
    float sum = 0;
    const float* v = &values_[cached(shared, first)];
    for (std::size_t j = 0; j < seen; ++j, v += shape_.head_size) {
      const float weight = std::exp(scale * (weights_[j] - largest));
      sum += weight;
      for (std::size_t i = 0; i < shape_.head_size; ++i) out[i] += weight * v[i];
    }
    for (std::size_t i = 0; i < shape_.head_size; ++i) out[i] /= sum;
  }

  using Mixing::weights;
  kernels::AttentionShape shape_;
  bool embeds_values_;
  Floats turns_, row_, rstd_, keys_, values_, weights_, mixed_;
};

// What the state-space mixers share: h = fading * h + sum of v k^T, y = h q, per head.
struct State {
  std::size_t heads, head_size, state;
  Floats h;  // [heads, head_size, state]
  State(const ModelConfig& c)
      : heads(size(c.mamba_heads())),
        head_size(size(c.mamba_head)),
        state(size(c.state)),
        h(heads * head_size * state) {}
  void begin() { std::fill(h.begin(), h.end(), 0.0f); }

  void fade(std::size_t head, float by) {
    float* at = &h[head * head_size * state];
    for (std::size_t i = 0; i < head_size * state; ++i) at[i] *= by;
  }
  void add(std::size_t head, const float* v, const float* k, float weight) {
    for (std::size_t p = 0; p < head_size; ++p) {
      float* at = &h[(head * head_size + p) * state];
      const float by = weight * v[p];
      for (std::size_t n = 0; n < state; ++n) at[n] += by * k[n];
    }
  }
  void read(std::size_t head, float* y, const float* q) const {
    multiply(y, &h[head * head_size * state], q, state, head_size, false);
  }
};

class Mamba2Step final : public Decoder::Mixing {
 public:
  Mamba2Step(const Decoder& decoder, const ModelConfig& c, std::size_t layer)
      : Mixing(decoder, "layers." + std::to_string(layer) + ".mamba2."),
        groups_(size(c.mamba_groups)),
        inner_(size(c.inner())),
        state_(c),
        shared_(groups_ * state_.state),
        taps_(size(c.taps), inner_ + 2 * shared_),
        projection_(inner_ + taps_.channels + state_.heads),
        convolved_(taps_.channels),
        step_(state_.heads),
        decay_(state_.heads),
        y_(inner_) {}
  void begin() override {
    state_.begin();
    taps_.begin();
  }
  std::size_t carried(std::size_t) const override { return state_.h.size() * sizeof(float) + taps_.carried(); }

  void step(Floats& stream, const Floats& normed, std::int32_t, std::size_t) override {
    multiply(projection_.data(), weights("in"), normed.data(), width(), projection_.size(), false);
    taps_.step(convolved_.data(), &projection_[inner_], weights("taps"), weights("taps_bias"));
    backend().mamba2_forward(step_.data(), decay_.data(), &projection_[inner_ + taps_.channels], 0,
                             weights("step_bias"), weights("log_rate"), 1, state_.heads);
    const float *x = convolved_.data(), *k = x + inner_, *q = k + shared_;
    for (std::size_t h = 0; h < state_.heads; ++h) {
      const std::size_t group = h / (state_.heads / groups_) * state_.state, at = h * state_.head_size;
      state_.fade(h, std::exp(decay_[h]));
      state_.add(h, x + at, k + group, step_[h]);
      state_.read(h, &y_[at], q + group);
    }
    Floats out(inner_);
    const kernels::StateSpaceShape shape{.heads = state_.heads, .head_size = state_.head_size};
    backend().gate_forward(out.data(), {y_.data(), x, projection_.data(), 0, 0}, {weights("skip"), nullptr, nullptr}, 1,
                           shape);
    normalize(out, out);
    backend().gain_forward(out.data(), out.data(), weights("gain"), 1, inner_);
    multiply(stream.data(), weights("out"), out.data(), inner_, width(), true);
  }

 private:
  std::size_t groups_, inner_;
  State state_;
  std::size_t shared_;
  Taps taps_;
  Floats projection_, convolved_, step_, decay_, y_;
};

class Mamba3Step final : public Decoder::Mixing {
 public:
  Mamba3Step(const Decoder& decoder, const ModelConfig& c, std::size_t layer)
      : Mixing(decoder, "layers." + std::to_string(layer) + ".mamba3."),
        inner_(size(c.inner())),
        rank_(size(c.mamba_rank)),
        state_(c),
        keys_(rank_ * size(c.mamba_groups) * state_.state),
        turned_(rank_ * state_.heads * state_.state),
        projection_(2 * inner_ + 2 * keys_ + 3 * state_.heads + size(c.angles())),
        q_(turned_),
        k_(turned_),
        k_before_(turned_),
        v_before_(rank_ * inner_),
        v_(rank_ * inner_),
        y_(rank_ * inner_),
        decay_(state_.heads),
        weight_(state_.heads),
        own_(state_.heads),
        step_(state_.heads),
        angles_(state_.heads * size(c.angles())),
        turned_so_far_(angles_.size()),
        rstd_(2 * rank_ * size(c.mamba_groups)) {
    shape_.shared_groups = size(c.mamba_groups);
    shape_.angles = size(c.angles());
    shape_.scan = {.batch = 1,
                   .context = 1,
                   .heads = state_.heads,
                   .groups = state_.heads,
                   .state = state_.state,
                   .head_size = state_.head_size,
                   .rank = rank_,
                   .chunk = 1};
  }
  void begin() override {
    state_.begin();
    for (Floats* carried : {&k_before_, &v_before_, &turned_so_far_}) std::fill(carried->begin(), carried->end(), 0.0f);
  }
  std::size_t carried(std::size_t) const override {
    return (state_.h.size() + k_before_.size() + v_before_.size() + turned_so_far_.size()) * sizeof(float);
  }

  void step(Floats& stream, const Floats& normed, std::int32_t, std::size_t) override {
    multiply(projection_.data(), weights("in"), normed.data(), width(), projection_.size(), false);
    prepare();
    const std::size_t heads = state_.heads, head_size = state_.head_size;
    for (std::size_t h = 0; h < heads; ++h) {
      const auto k_at = [&](std::size_t r) { return (r * heads + h) * state_.state; };
      const auto v_at = [&](std::size_t r) { return r * inner_ + h * head_size; };
      for (std::size_t r = 0; r < rank_; ++r)
        state_.add(h, &v_before_[v_at(r)], &k_before_[k_at(r)], step_[h] - own_[h]);  // (1 - share) * step
      state_.fade(h, std::exp(decay_[h]));
      for (std::size_t r = 0; r < rank_; ++r) state_.add(h, &v_[v_at(r)], &k_[k_at(r)], own_[h]);
      for (std::size_t r = 0; r < rank_; ++r) state_.read(h, &y_[v_at(r)], &q_[k_at(r)]);
    }
    Floats out(inner_);
    const bool many = rank_ > 1;
    backend().gate_forward(out.data(), {y_.data(), v_.data(), projection_.data(), inner_, 0},
                           {weights("skip"), many ? weights("spread_gate") : nullptr, many ? weights("mix") : nullptr},
                           1, shape_.scan);
    multiply(stream.data(), weights("out"), out.data(), inner_, width(), true);
    v_before_ = v_;
    k_before_ = k_;
  }

 private:
  // Keys, queries, values and steps of this token. They come turned by this token's angles alone; all earlier ones are
  // added here.
  void prepare() {
    const float *x = &projection_[inner_], *key = x + inner_, *query = key + keys_, *steps = query + keys_;
    backend().mamba3_forward(
        {q_.data(), k_.data(), decay_.data(), weight_.data(), own_.data(), step_.data(), angles_.data(), rstd_.data()},
        {key, query, steps, steps + state_.heads, steps + 2 * state_.heads, steps + 3 * state_.heads,
         projection_.size()},
        {weights("step_bias"), weights("key_gain"), weights("query_gain"), weights("key_bias"), weights("query_bias")},
        shape_);
    for (std::size_t r = 0; r < rank_; ++r) {
      for (std::size_t h = 0; h < state_.heads; ++h) {
        turn(&k_[(r * state_.heads + h) * state_.state], h);
        turn(&q_[(r * state_.heads + h) * state_.state], h);
      }
    }
    constexpr float whole_turn = 6.2831853f;
    for (std::size_t i = 0; i < angles_.size(); ++i)
      turned_so_far_[i] = std::remainder(turned_so_far_[i] + angles_[i], whole_turn);
    if (rank_ > 1) {
      backend().spread_forward(v_.data(), x, 0, weights("spread"), 1, rank_, inner_);
    } else {
      std::memcpy(v_.data(), x, inner_ * sizeof(float));
    }
  }
  void turn(float* row, std::size_t head) const {
    for (std::size_t i = 0; i < shape_.angles; ++i) {
      const float angle = turned_so_far_[head * shape_.angles + i], a = row[i], b = row[i + shape_.angles];
      row[i] = a * std::cos(angle) - b * std::sin(angle);
      row[i + shape_.angles] = a * std::sin(angle) + b * std::cos(angle);
    }
  }

  std::size_t inner_, rank_;
  State state_;
  std::size_t keys_, turned_;
  kernels::Mamba3Shape shape_;
  Floats projection_, q_, k_, k_before_, v_before_, v_, y_, decay_, weight_, own_, step_, angles_, turned_so_far_,
      rstd_;
};

class ConvolutionStep final : public Decoder::Mixing {
 public:
  ConvolutionStep(const Decoder& decoder, const ModelConfig& c, std::size_t layer)
      : Mixing(decoder, "layers." + std::to_string(layer) + ".convolution."),
        inner_(size(c.inner())),
        taps_(size(c.taps), inner_),
        projection_(2 * inner_),
        convolved_(inner_),
        out_(inner_) {}
  void begin() override { taps_.begin(); }
  std::size_t carried(std::size_t) const override { return taps_.carried(); }
  void step(Floats& stream, const Floats& normed, std::int32_t, std::size_t) override {
    multiply(projection_.data(), weights("in"), normed.data(), width(), projection_.size(), false);
    taps_.step(convolved_.data(), &projection_[inner_], weights("taps"), weights("taps_bias"));
    backend().gate_forward(out_.data(), {convolved_.data(), convolved_.data(), projection_.data(), 0, 0}, {}, 1,
                           {.heads = 1, .head_size = inner_});
    multiply(stream.data(), weights("out"), out_.data(), inner_, width(), true);
  }

 private:
  std::size_t inner_;
  Taps taps_;
  Floats projection_, convolved_, out_;
};

std::unique_ptr<Decoder::Mixing> make_mixing(const Decoder& decoder, const ModelConfig& config, std::size_t layer,
                                             std::size_t tokens_max) {
  switch (config.mixer_of(layer)) {
    case Mixer::attention:
      return std::make_unique<Attending>(decoder, config, layer, tokens_max);
    case Mixer::mamba2:
      return std::make_unique<Mamba2Step>(decoder, config, layer);
    case Mixer::mamba3:
      return std::make_unique<Mamba3Step>(decoder, config, layer);
    case Mixer::convolution:
      break;
  }
  return std::make_unique<ConvolutionStep>(decoder, config, layer);
}

}  // namespace

Decoder::Decoder(const ModelConfig& config, const float* parameters, std::size_t tokens_max)
    : config_(config),
      model_(make_language_model(config, 1, ModelUse::inference)),
      parameters_(parameters),
      stream_(size(config.width)),
      beginning_(stream_.size()),
      normed_(stream_.size()),
      before_(size(config.width * config.mlp_ratio) * (config.mlp == "swiglu" ? 2 : 1)),
      hidden_(size(config.width * config.mlp_ratio)),
      logits_(size(config.vocabulary)),
      tokens_max_(tokens_max) {
  for (const Tensor& tensor : model_.graph.tensors()) {
    if (tensor.parameter) places_[tensor.name] = tensor.value_at;
  }
  for (std::size_t layer = 0; layer < size(config.depth); ++layer)
    mixers_.push_back(make_mixing(*this, config_, layer, tokens_max));
  begin();
}

Decoder::~Decoder() = default;

void Decoder::begin() {
  position_ = 0;
  for (const auto& mixer : mixers_) mixer->begin();
}

void Decoder::pretend(std::size_t tokens) {
  INVARIANT(tokens < tokens_max_, "a text within what the decoder was made for");
  position_ = tokens;
}

const float* Decoder::parameter(const std::string& name) const { return parameters_ + places_.at(name); }

std::size_t Decoder::state_bytes() const {
  std::size_t bytes = 0;
  for (const auto& mixer : mixers_) bytes += mixer->carried(position_);
  return bytes;
}

void Decoder::think(std::size_t layer) {
  const std::string at = "layers." + std::to_string(layer) + ".mlp.";
  normalize(normed_, stream_);
  multiply(before_.data(), parameter(at + "up"), normed_.data(), normed_.size(), before_.size(), false);
  if (config_.mlp == "relu2") {
    backend().relu2_forward(hidden_.data(), before_.data(), hidden_.size());
  } else if (config_.mlp == "gelu") {
    backend().gelu_forward(hidden_.data(), before_.data(), hidden_.size());
  } else {
    backend().swiglu_forward(hidden_.data(), before_.data(), 1, hidden_.size());
  }
  multiply(stream_.data(), parameter(at + "down"), hidden_.data(), hidden_.size(), stream_.size(), true);
}

const std::vector<float>& Decoder::next(std::int32_t token) {
  INVARIANT(position_ < tokens_max_, "a text within what the decoder was made for");
  INVARIANT(token >= 0 && token < config_.vocabulary, "a token of the vocabulary");
  backend().embedding_forward(normed_.data(), &token, parameter("embedding"), 1, normed_.size());
  normalize(stream_, normed_);
  beginning_ = stream_;
  for (std::size_t layer = 0; layer < mixers_.size(); ++layer) {
    if (config_.residual_mix == 1) {
      normed_ = stream_;
      backend().blend_forward(stream_.data(), normed_.data(), beginning_.data(),
                              parameter("layers." + std::to_string(layer) + ".shares"), stream_.size());
    }
    normalize(normed_, stream_);
    mixers_[layer]->step(stream_, normed_, token, position_);
    if (config_.mlp_ratio > 0) think(layer);
  }
  normalize(normed_, stream_);
  multiply(logits_.data(), parameter(config_.tied == 1 ? "embedding" : "head"), normed_.data(), normed_.size(),
           logits_.size(), false);
  if (config_.softcap > 0)
    backend().softcap_forward(logits_.data(), logits_.size(), static_cast<float>(config_.softcap));
  ++position_;
  return logits_;
}

}  // namespace overnight::workers
