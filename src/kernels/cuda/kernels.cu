// What candle has no kernel for on an NVIDIA GPU, or a slow one. The twins on the processor are in the files beside this
// folder; the tests run both on the same numbers, this one as C++ where there is no GPU.
//
// Compiled when the program first needs it, for the GPU that it finds. A block has THREADS threads; unless it says
// otherwise, a kernel has one block for each row of what it writes.

typedef unsigned int u32;
typedef unsigned long long u64;

#ifndef THREADS
#define THREADS 256
#endif

#define LEAST (-3.402823466e38f)
#define NOTHING (-1.0f / 0.0f)

__device__ float block_sum(float x) {
    __shared__ float parts[THREADS];
    __syncthreads(); // Those before have been read.
    parts[threadIdx.x] = x;
    __syncthreads();
    for (u32 half = THREADS / 2; half > 0; half /= 2) {
        if (threadIdx.x < half) parts[threadIdx.x] += parts[threadIdx.x + half];
        __syncthreads();
    }
    return parts[0];
}

__device__ float block_max(float x) {
    __shared__ float parts[THREADS];
    __syncthreads();
    parts[threadIdx.x] = x;
    __syncthreads();
    for (u32 half = THREADS / 2; half > 0; half /= 2) {
        if (threadIdx.x < half) parts[threadIdx.x] = fmaxf(parts[threadIdx.x], parts[threadIdx.x + half]);
        __syncthreads();
    }
    return parts[0];
}

// kernels/dropout: sixty-four well-mixed bits, and whether a value is dropped.
__device__ u64 bits(u64 seed, u64 index) {
    u64 z = seed + (index + 1) * 0x9E3779B97F4A7C15ULL;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
    return z ^ (z >> 31);
}

__device__ bool drops(u64 seed, u64 index, u32 limit) {
    u32 x = (u32)index * 0x9E3779B9U + (u32)seed;
    x = (x ^ (x >> 17)) * 0xED5AD4BBU ^ (u32)(seed >> 32);
    x = (x ^ (x >> 11)) * 0xAC4C1B51U;
    x = (x ^ (x >> 15)) * 0x31848BABU;
    return (x ^ (x >> 14)) < limit;
}

// out[r] = bias + Σ value · x[column]. `sparse` holds rows + 1 starts, then the columns, then the values.
extern "C" __global__ void sparse_product(
    const u32 *sparse, const float *x, const float *bias, float *out, u32 rows, u32 entries, u32 dim, u32 has_bias
) {
    const u32 *columns = sparse + rows + 1;
    const float *values = (const float *)(columns + entries);
    u32 begin = sparse[blockIdx.x], end = sparse[blockIdx.x + 1];
    for (u32 at = threadIdx.x; at < dim; at += THREADS) {
        float sum = has_bias ? bias[at] : 0.0f;
        for (u32 entry = begin; entry < end; entry++) {
            sum += values[entry] * x[(u64)columns[entry] * dim + at];
        }
        out[(u64)blockIdx.x * dim + at] = sum;
    }
}

// Enough blocks for all numbers.
extern "C" __global__ void dropout(const float *x, float *out, u64 count, u64 seed, u32 limit, float scale) {
    u64 at = (u64)blockIdx.x * THREADS + threadIdx.x;
    if (at < count) out[at] = drops(seed, at, limit) ? 0.0f : x[at] * scale;
}

extern "C" __global__ void gelu(const float *x, float *out, u64 count) {
    u64 at = (u64)blockIdx.x * THREADS + threadIdx.x;
    if (at < count) out[at] = x[at] * 0.5f * (1.0f + erff(x[at] * 0.70710678f));
}

extern "C" __global__ void gelu_backward(const float *x, const float *grad, float *out, u64 count) {
    u64 at = (u64)blockIdx.x * THREADS + threadIdx.x;
    if (at >= count) return;
    float below = 0.5f * (1.0f + erff(x[at] * 0.70710678f));
    float density = 0.39894228f * expf(-0.5f * x[at] * x[at]);
    out[at] = grad[at] * (below + x[at] * density);
}

__device__ void moments(const float *x, u32 dim, float epsilon, float *mean, float *scale) {
    float sum = 0.0f, squares = 0.0f;
    for (u32 at = threadIdx.x; at < dim; at += THREADS) sum += x[at];
    *mean = block_sum(sum) / dim;
    for (u32 at = threadIdx.x; at < dim; at += THREADS) squares += (x[at] - *mean) * (x[at] - *mean);
    *scale = 1.0f / sqrtf(block_sum(squares) / dim + epsilon);
}

extern "C" __global__ void layer_norm(
    const float *x, const float *weight, const float *bias, float *out, u32 dim, float epsilon
) {
    float mean, scale;
    x += (u64)blockIdx.x * dim;
    out += (u64)blockIdx.x * dim;
    moments(x, dim, epsilon, &mean, &scale);
    for (u32 at = threadIdx.x; at < dim; at += THREADS) out[at] = (x[at] - mean) * scale * weight[at] + bias[at];
}

// Also keeps mean and scale of each row for the kernel below.
extern "C" __global__ void layer_norm_backward(
    const float *x, const float *weight, const float *grad, float *grad_x, float *kept, u32 dim, float epsilon
) {
    float mean, scale, ones = 0.0f, along = 0.0f;
    u64 row = (u64)blockIdx.x * dim;
    moments(x + row, dim, epsilon, &mean, &scale);
    for (u32 at = threadIdx.x; at < dim; at += THREADS) {
        float own = grad[row + at] * weight[at];
        ones += own;
        along += own * (x[row + at] - mean) * scale;
    }
    ones = block_sum(ones) / dim;
    along = block_sum(along) / dim;
    for (u32 at = threadIdx.x; at < dim; at += THREADS) {
        float normal = (x[row + at] - mean) * scale;
        grad_x[row + at] = (grad[row + at] * weight[at] - ones - normal * along) * scale;
    }
    if (threadIdx.x == 0) {
        kept[2 * blockIdx.x] = mean;
        kept[2 * blockIdx.x + 1] = scale;
    }
}

// One block for each column. `out` holds the gradient of the weight, then that of the bias.
extern "C" __global__ void layer_norm_parameters(
    const float *x, const float *grad, const float *kept, float *out, u32 rows, u32 dim
) {
    u32 column = blockIdx.x;
    float weight = 0.0f, bias = 0.0f;
    for (u32 row = threadIdx.x; row < rows; row += THREADS) {
        u64 at = (u64)row * dim + column;
        weight += grad[at] * (x[at] - kept[2 * row]) * kept[2 * row + 1];
        bias += grad[at];
    }
    weight = block_sum(weight);
    bias = block_sum(bias);
    if (threadIdx.x == 0) {
        out[column] = weight;
        out[dim + column] = bias;
    }
}

// The softmax of padded scores [sequence, heads, longest, longest], as kernels/attention draws and hides them.
// `sequences` holds first row and length of each. Padding, and a query that sees nothing, gets zeros.
extern "C" __global__ void attention_weights(
    const float *scores, const u32 *sequences, float *out, u32 heads, u32 longest, u32 causal, u64 seed, u32 limit
) {
    u32 query = blockIdx.x % longest, head = blockIdx.x / longest % heads, sequence = blockIdx.x / longest / heads;
    u32 first = sequences[2 * sequence], len = sequences[2 * sequence + 1];
    u32 end = query >= len ? 0 : causal ? query + 1 : len;
    u64 own = bits(seed, (u64)first * heads + head);
    scores += (u64)blockIdx.x * longest;
    out += (u64)blockIdx.x * longest;
    float top = NOTHING, sum = 0.0f;
    for (u32 key = threadIdx.x; key < end; key += THREADS) {
        if (!drops(own, (u64)query * len + key, limit)) top = fmaxf(top, scores[key]);
    }
    top = fmaxf(block_max(top), LEAST);
    for (u32 key = threadIdx.x; key < longest; key += THREADS) {
        bool seen = key < end && !drops(own, (u64)query * len + key, limit);
        out[key] = seen ? expf(scores[key] - top) : 0.0f;
        sum += out[key];
    }
    sum = block_sum(sum);
    for (u32 key = threadIdx.x; key < longest; key += THREADS) out[key] = sum == 0.0f ? 0.0f : out[key] / sum;
}

extern "C" __global__ void softmax_backward(const float *weights, const float *grad, float *out, u32 width) {
    u64 row = (u64)blockIdx.x * width;
    float along = 0.0f;
    for (u32 at = threadIdx.x; at < width; at += THREADS) along += weights[row + at] * grad[row + at];
    along = block_sum(along);
    for (u32 at = threadIdx.x; at < width; at += THREADS) out[row + at] = weights[row + at] * (grad[row + at] - along);
}

// The CRF: kernels/crf. Sums are of scaled probabilities; where one would underflow, `lost` tells, and the processor does
// the batch in logarithms.
#define MOST_TAGS 1024
#define TOO_SMALL 1e-30f

// exp(transition) where a tag may follow, else zero, and the same turned: [from, to] and [to, from].
extern "C" __global__ void crf_moves(
    const float *transitions, const unsigned char *follows, float *moves, float *turned, u32 tags
) {
    u32 at = blockIdx.x * THREADS + threadIdx.x;
    if (at >= tags * tags) return;
    float move = follows[at] ? expf(transitions[at]) : 0.0f;
    moves[at] = move;
    turned[at % tags * tags + at / tags] = move;
}

// log Σ_other e[other] · moves[other, tag] + top, for the tag of this thread; e = exp(logs − top).
__device__ float log_step(
    const float *moves, const float *e, const float *logs, float top, u32 tags, u32 tag, u32 *lost
) {
    float sum = 0.0f;
    for (u32 other = 0; other < tags; other++) sum += e[other] * moves[other * tags + tag];
    if (!(sum >= TOO_SMALL)) {
        // Nothing leads here, which is fine, or something does and was rounded away.
        for (u32 other = 0; other < tags; other++) {
            if (moves[other * tags + tag] > 0.0f && logs[other] != NOTHING) *lost = 1;
        }
    }
    return logf(sum) + top;
}

// One block for each sequence. `rules` holds which tags may begin, then which may end. `before` and `after` become, for
// every token but the first of a sequence, vectors whose outer product with `moves` is the probability of each transition.
extern "C" __global__ void crf(
    const float *logits, const float *transitions, const float *moves, const float *turned, const unsigned char *rules,
    const u32 *offsets, const u32 *gold, float *losses, float *grad, float *before, float *after, float *tops,
    u32 *likeliest, u32 *lost, u32 tags
) {
    __shared__ float e[MOST_TAGS], logs[MOST_TAGS], best[THREADS];
    __shared__ u32 places[THREADS];
    u32 begin = offsets[blockIdx.x], end = offsets[blockIdx.x + 1];
    if (begin == end) {
        if (threadIdx.x == 0) losses[blockIdx.x] = 0.0f;
        return;
    }
    // Forward: the log sums over all ways to each tag, kept in `grad`.
    for (u32 row = begin; row < end; row++) {
        const float *own = logits + (u64)row * tags;
        float *sums = grad + (u64)row * tags;
        float top = NOTHING;
        __syncthreads();
        if (row > begin) {
            for (u32 tag = threadIdx.x; tag < tags; tag += THREADS) {
                logs[tag] = sums[(long long)tag - tags];
                top = fmaxf(top, logs[tag]);
            }
            top = fmaxf(block_max(top), LEAST);
            for (u32 tag = threadIdx.x; tag < tags; tag += THREADS) e[tag] = expf(logs[tag] - top);
            __syncthreads();
        }
        for (u32 tag = threadIdx.x; tag < tags; tag += THREADS) {
            float past = row > begin ? log_step(moves, e, logs, top, tags, tag, lost) : rules[tag] ? 0.0f : NOTHING;
            before[(u64)row * tags + tag] = row > begin ? e[tag] : 0.0f;
            sums[tag] = past + own[tag];
        }
        if (threadIdx.x == 0) tops[row] = top;
    }
    // Backward, with the log sums over all ways on from each tag in `logs`.
    const float *last = grad + (u64)(end - 1) * tags;
    float top = NOTHING, sum = 0.0f;
    __syncthreads();
    for (u32 tag = threadIdx.x; tag < tags; tag += THREADS) {
        logs[tag] = rules[tags + tag] ? 0.0f : NOTHING;
        top = fmaxf(top, last[tag] + logs[tag]);
    }
    top = fmaxf(block_max(top), LEAST);
    for (u32 tag = threadIdx.x; tag < tags; tag += THREADS) sum += expf(last[tag] + logs[tag] - top);
    float total = logf(block_sum(sum)) + top;
    for (u32 row = end; row-- > begin;) {
        const float *own = logits + (u64)row * tags;
        float *sums = grad + (u64)row * tags;
        float most = -1.0f;
        u32 place = 0;
        top = NOTHING;
        for (u32 tag = threadIdx.x; tag < tags; tag += THREADS) {
            float probability = expf(sums[tag] + logs[tag] - total);
            sums[tag] = probability - (gold[row] == tag ? 1.0f : 0.0f);
            if (probability > most) {
                most = probability;
                place = tag;
            }
            logs[tag] += own[tag];
            after[(u64)row * tags + tag] = row > begin ? expf(logs[tag] + tops[row] - total) : 0.0f;
            top = fmaxf(top, logs[tag]);
        }
        // The likeliest tag, of equal ones the first.
        __syncthreads();
        best[threadIdx.x] = most;
        places[threadIdx.x] = place;
        __syncthreads();
        for (u32 half = THREADS / 2; half > 0; half /= 2) {
            if (threadIdx.x < half) {
                float other = best[threadIdx.x + half];
                u32 at = places[threadIdx.x + half];
                if (other > best[threadIdx.x] || (other == best[threadIdx.x] && at < places[threadIdx.x])) {
                    best[threadIdx.x] = other;
                    places[threadIdx.x] = at;
                }
            }
            __syncthreads();
        }
        if (threadIdx.x == 0) likeliest[row] = places[0];
        if (row == begin) break;
        top = fmaxf(block_max(top), LEAST);
        for (u32 tag = threadIdx.x; tag < tags; tag += THREADS) e[tag] = expf(logs[tag] - top);
        __syncthreads();
        // Each thread writes what is its own in `logs` only when all have read.
        float next[(MOST_TAGS + THREADS - 1) / THREADS];
        u32 count = 0;
        for (u32 tag = threadIdx.x; tag < tags; tag += THREADS) {
            next[count++] = log_step(turned, e, logs, top, tags, tag, lost);
        }
        __syncthreads();
        count = 0;
        for (u32 tag = threadIdx.x; tag < tags; tag += THREADS) logs[tag] = next[count++];
    }
    if (threadIdx.x == 0) {
        float score = 0.0f;
        for (u32 row = begin; row < end; row++) {
            score += logits[(u64)row * tags + gold[row]];
            if (row > begin) score += transitions[gold[row - 1] * tags + gold[row]];
        }
        losses[blockIdx.x] = total - score;
    }
}

// grad[from, to] = probability · moves, less one for each time that the right tags move like this.
extern "C" __global__ void crf_transitions(
    const float *product, const float *moves, const u32 *counts, float *grad, u32 count
) {
    u32 at = blockIdx.x * THREADS + threadIdx.x;
    if (at < count) grad[at] = product[at] * moves[at] - (float)counts[at];
}

// AdamW. `table` holds for each parameter its place, those of its gradient, mean and mean square, its length, and what it
// is multiplied by, as the bits of a float. Blocks: any number along x, one for each parameter along y.
#define FIELDS 6

extern "C" __global__ void squares(const u64 *table, double *out) {
    const u64 *of = table + FIELDS * blockIdx.y;
    const float *gradient = (const float *)of[1];
    __shared__ double parts[THREADS];
    double sum = 0.0;
    for (u64 at = (u64)blockIdx.x * THREADS + threadIdx.x; at < of[4]; at += (u64)gridDim.x * THREADS) {
        sum += (double)gradient[at] * (double)gradient[at];
    }
    parts[threadIdx.x] = sum;
    __syncthreads();
    for (u32 half = THREADS / 2; half > 0; half /= 2) {
        if (threadIdx.x < half) parts[threadIdx.x] += parts[threadIdx.x + half];
        __syncthreads();
    }
    if (threadIdx.x == 0) out[blockIdx.y * gridDim.x + blockIdx.x] = parts[0];
}

extern "C" __global__ void adamw(
    const u64 *table, float beta1, float beta2, float rest1, float rest2, float rate, float correction, float epsilon,
    float scale
) {
    const u64 *of = table + FIELDS * blockIdx.y;
    float *parameter = (float *)of[0], *mean = (float *)of[2], *square = (float *)of[3];
    const float *gradient = (const float *)of[1];
    float shrink = __uint_as_float((u32)of[5]);
    for (u64 at = (u64)blockIdx.x * THREADS + threadIdx.x; at < of[4]; at += (u64)gridDim.x * THREADS) {
        float x = gradient[at] * scale;
        mean[at] = beta1 * mean[at] + rest1 * x;
        square[at] = beta2 * square[at] + rest2 * x * x;
        parameter[at] = parameter[at] * shrink - rate * mean[at] / (sqrtf(square[at] * correction) + epsilon);
    }
}

// One block for each touched row of a table, whose numbers share one mean square. `rows` holds their numbers, then, as the
// bits of floats, what is left of mean, mean square and weight.
extern "C" __global__ void adamw_rows(
    float *parameter, const float *gradient, float *mean, float *square, const u32 *rows, u32 count, u32 dim,
    float rest1, float rest2, float rate, float correction, float epsilon, float scale
) {
    const float *kept = (const float *)(rows + count);
    float keep1 = kept[blockIdx.x], keep2 = kept[count + blockIdx.x], shrink = kept[2 * count + blockIdx.x];
    u64 row = (u64)rows[blockIdx.x] * dim, own = (u64)blockIdx.x * dim;
    float squares = 0, before = square[rows[blockIdx.x]];
    for (u32 at = threadIdx.x; at < dim; at += THREADS) {
        float x = gradient[own + at] * scale;
        squares += x * x;
    }
    float shared = keep2 * before + rest2 * block_sum(squares) / dim;
    float by = rate / (sqrtf(shared * correction) + epsilon);
    for (u32 at = threadIdx.x; at < dim; at += THREADS) {
        float moved = keep1 * mean[row + at] + rest1 * scale * gradient[own + at];
        mean[row + at] = moved;
        parameter[row + at] = parameter[row + at] * shrink - by * moved;
    }
    if (threadIdx.x == 0) square[rows[blockIdx.x]] = shared;
}
