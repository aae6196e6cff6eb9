// Muon: the update of a matrix is its momentum with all singular values made equal (K. Jordan and others 2024, "Muon:
// an optimizer for hidden layers in neural networks"). By Polar Express (arXiv 2505.16932) or by the classic
// Newton-Schulz iteration; with NorMuon's second moment per row or column (arXiv 2510.05491) and cautious weight decay
// (arXiv 2510.12402): a weight decays only where the update does not push it the other way. Pure: memory is the
// caller's.
#pragma once

#include <cstddef>

#include "kernels/kernels.h"

namespace overnight::workers {

enum class Orthogonalizer { polar_express, newton_schulz };

inline constexpr std::size_t orthogonalizer_steps = 5;

// Room that `orthogonalize` needs beside the matrix, and `muon_step` in all, in floats.
std::size_t orthogonalize_scratch(std::size_t rows, std::size_t columns);
std::size_t muon_scratch(std::size_t rows, std::size_t columns);

// What `orthogonalize` multiplies and adds: five steps of three products each.
double orthogonalize_flops(std::size_t rows, std::size_t columns);

// matrix[rows, columns] = the nearest matrix of which all singular values are one, roughly: they end up between about
// 0.7 and 1.2. In place.
void orthogonalize(const kernels::Backend& backend, float* matrix, std::size_t rows, std::size_t columns,
                   Orthogonalizer by, float* scratch);

struct MuonSettings {
  Orthogonalizer by = Orthogonalizer::polar_express;
  float rate = 0.02f;  // before the factor sqrt(max(1, rows / columns))
  float momentum = 0.95f;
  float beta2 = 0.95f;  // of NorMuon; 0: without it
  float weight_decay = 0;
  float gradient_scale = 1;
};

// One step on one matrix. `momentum` [rows, columns] and `second` [max(rows, columns)] begin as zeros.
void muon_step(const kernels::Backend& backend, float* weights, float* momentum, float* second, const float* gradient,
               std::size_t rows, std::size_t columns, const MuonSettings& settings, float* scratch);

}  // namespace overnight::workers
