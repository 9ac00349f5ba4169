// Attention of a decoding step on a CPU, as attend_by_matmul computes it; native.py compiles and
// calls this. KEY_DIM, VALUE_DIM and PAGE (tokens) come from the compiler's command line.
//
// Keys are [pages, kv_heads, KEY_DIM, PAGE] and values [pages, kv_heads, PAGE, VALUE_DIM], so that
// scores and outputs are both weighted sums of a table's rows.

#include <cstdint>
#include <cstring>
#include <vector>

#if defined(__AVX512F__)
constexpr int64_t LANES = 16;
#elif defined(__AVX2__)
constexpr int64_t LANES = 8;
#else
#error "slower than BagAttention without AVX2"
#endif
constexpr int64_t PARTS = 4;
static_assert(PAGE % (2 * LANES) == 0 && VALUE_DIM % (2 * LANES) == 0 && KEY_DIM % PARTS == 0);

typedef float vec __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef int32_t ints __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

static inline vec &at(float *x) { return *(vec *)x; }
static inline const vec &at(const float *x) { return *(const vec *)x; }

struct Step {
    const float *query;        // [rows, kv_heads, group, KEY_DIM]
    const float *key, *value;  // the new ones: [rows, kv_heads, KEY_DIM] and [.., VALUE_DIM]
    float *keys, *values;
    const int64_t *table;         // [rows, num_pages]
    const int64_t *page, *place;  // [rows]: where the new key and value go
    const float *bias;            // [rows, num_pages * PAGE]
    float *out;                   // [rows, kv_heads, group, VALUE_DIM]
    int64_t rows, kv_heads, group, num_pages, num_threads;
    float scale;
};

// Adds the sum of weights[j] * table[j] to 2 * LANES columns of out. In PARTS, so that additions
// need not wait for each other.
static void add_rows(const float *weights, const float *table, int64_t num_rows, int64_t width,
                     float *out) {
    vec sums[PARTS][2] = {};
    for (int64_t row = 0; row < num_rows; row += PARTS)
        for (int64_t part = 0; part < PARTS; part++) {
            const float *entry = table + (row + part) * width;
            sums[part][0] += weights[row + part] * at(entry);
            sums[part][1] += weights[row + part] * at(entry + LANES);
        }
    for (int64_t half = 0; half < 2; half++)
        at(out + half * LANES) +=
            (sums[0][half] + sums[1][half]) + (sums[2][half] + sums[3][half]);
}

// exp(x) for x <= 0, to a few units in the last place (Cephes' expf); 0 below -87.
static vec exp_of(vec x) {
    vec least = vec{} - 87.0f, y = vec{} + 1.9875691500e-4f;
    vec z = x < least ? least : x;
    vec shifted = z * 1.44269504f + 12582912.0f;  // low bits: the nearest whole power of two
    vec power = shifted - 12582912.0f;
    z = z - power * 0.693359375f + power * 2.12194440e-4f;
    y = y * z + 1.3981999507e-3f;
    y = y * z + 8.3334519073e-3f;
    y = y * z + 4.1665795894e-2f;
    y = y * z + 1.6666665459e-1f;
    y = y * z + 5.0000001201e-1f;
    y = y * z * z + z + 1.0f;
    ints bits = ((ints)shifted + 127) << 23;
    return x < least ? vec{} : y * (vec)bits;
}

// In place: scores become weights not yet divided by their sum, which is returned.
static float weigh(float *scores, const float *bias, int64_t num_columns, float scale) {
    vec tops = at(scores) * scale + at(bias), sums = {};
    for (int64_t i = 0; i < num_columns; i += LANES) {
        at(scores + i) = at(scores + i) * scale + at(bias + i);
        tops = tops > at(scores + i) ? tops : at(scores + i);
    }
    float top = tops[0], sum = 0;
    for (int64_t i = 1; i < LANES; i++) top = top > tops[i] ? top : tops[i];
    for (int64_t i = 0; i < num_columns; i += LANES) {
        at(scores + i) = exp_of(at(scores + i) - top);
        sums += at(scores + i);
    }
    for (int64_t i = 0; i < LANES; i++) sum += sums[i];
    return sum;
}

static void store(const Step &s, int64_t row, int64_t head) {
    int64_t from = row * s.kv_heads + head, to = s.page[row] * s.kv_heads + head;
    float *keys = s.keys + to * KEY_DIM * PAGE + s.place[row];
    for (int64_t d = 0; d < KEY_DIM; d++) keys[d * PAGE] = s.key[from * KEY_DIM + d];
    float *values = s.values + (to * PAGE + s.place[row]) * VALUE_DIM;
    memcpy(values, s.value + from * VALUE_DIM, VALUE_DIM * sizeof(float));
}

// One query [KEY_DIM] of a row, over that row's pages of a head; scores is room for all columns.
static void attend_one(const Step &s, int64_t row, int64_t head, const float *query, float *out,
                       float *scores) {
    const int64_t *pages = s.table + row * s.num_pages, num_columns = s.num_pages * PAGE;
    memset(scores, 0, num_columns * sizeof(float));
    for (int64_t i = 0; i < s.num_pages; i++) {
        const float *keys = s.keys + (pages[i] * s.kv_heads + head) * KEY_DIM * PAGE;
        for (int64_t t = 0; t < PAGE; t += 2 * LANES)
            add_rows(query, keys + t, KEY_DIM, PAGE, scores + i * PAGE + t);
    }
    float sum = weigh(scores, s.bias + row * num_columns, num_columns, s.scale);
    memset(out, 0, VALUE_DIM * sizeof(float));
    for (int64_t i = 0; i < s.num_pages; i++) {
        const float *values = s.values + (pages[i] * s.kv_heads + head) * PAGE * VALUE_DIM;
        // What comes after the new token need not be read.
        int64_t filled = pages[i] == s.page[row] ? s.place[row] / PARTS * PARTS + PARTS : PAGE;
        for (int64_t d = 0; d < VALUE_DIM; d += 2 * LANES)
            add_rows(scores + i * PAGE, values + d, filled, VALUE_DIM, out + d);
    }
    for (int64_t d = 0; d < VALUE_DIM; d++) out[d] /= sum;
}

extern "C" void attend(const Step *step) {
    const Step &s = *step;
#pragma omp parallel num_threads(s.num_threads)
    {
        std::vector<float> scores(s.num_pages * PAGE);
#pragma omp for collapse(2) schedule(static)
        for (int64_t row = 0; row < s.rows; row++)
            for (int64_t head = 0; head < s.kv_heads; head++) {
                store(s, row, head);
                for (int64_t i = 0; i < s.group; i++) {
                    int64_t query = (row * s.kv_heads + head) * s.group + i;
                    attend_one(s, row, head, s.query + query * KEY_DIM, s.out + query * VALUE_DIM,
                               scores.data());
                }
            }
    }
}
