// Stands in for LiteRT's benchmark_model where an emulated phone is tested.
//
// It takes the same options and prints its statistics in the same format, but runs no model: a
// call reads the file's first bytes. Its times mean nothing.
//
// A file whose name holds one of these words shows a fault instead:
// segfault, hang, flood (endless output), refused (exit code 1), silent (no statistics).
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MOST_CALLS 100000
#define MOST_BYTES 65536

static long times_us[MOST_CALLS];
static volatile unsigned sum;

static long now_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000000L + now.tv_nsec / 1000;
}

// The value of --name=value; of a repeated option the last.
static const char *option(int count, char **given, const char *name, const char *otherwise) {
  size_t length = strlen(name);
  for (int i = 1; i < count; i++)
    if (!strncmp(given[i], "--", 2) && !strncmp(given[i] + 2, name, length) &&
        given[i][2 + length] == '=')
      otherwise = given[i] + 3 + length;
  return otherwise;
}

static int by_value(const void *a, const void *b) {
  long x = *(const long *)a, y = *(const long *)b;
  return (x > y) - (x < y);
}

// The mean, in microseconds.
static double print_statistics(int count) {
  long first = times_us[0], last = times_us[count - 1];
  double total = 0, squares = 0;
  for (int i = 0; i < count; i++) total += times_us[i];
  for (int i = 0; i < count; i++) squares += pow(times_us[i] - total / count, 2);
  qsort(times_us, count, sizeof *times_us, by_value);
  printf("INFO: count=%d ", count);
  if (count == 1)
    printf("curr=%ld", last);
  else if (times_us[0] == times_us[count - 1])
    printf("curr=%ld(all same)", last);
  else
    printf("first=%ld curr=%ld min=%ld max=%ld avg=%g std=%ld", first, last, times_us[0],
           times_us[count - 1], total / count, (long)sqrt(squares / count));
  printf(" p5=%ld median=%ld p95=%ld\n\n", times_us[count / 20], times_us[count / 2],
         times_us[count - 1 - count / 20]);
  return total / count;
}

// At least `least` calls and `min_s` seconds of them, but no more than `max_s`; their number.
static int run(const unsigned char *bytes, long size, int least, double min_s, double max_s,
               double gap_s) {
  printf("INFO: Running benchmark for at least %d iterations and at least %g seconds but terminate "
         "if exceeding %g seconds.\n", least, min_s, max_s);
  long began = now_us();
  int count = 0;
  while (count < MOST_CALLS) {
    double passed_s = (now_us() - began) / 1e6;
    if (count > 0 && (passed_s > max_s || (count >= least && passed_s >= min_s))) break;
    long start = now_us();
    for (long i = 0; i < size && i < MOST_BYTES; i++) sum = sum * 31 + bytes[i];
    times_us[count++] = now_us() - start + 1;
    if (gap_s > 0) usleep(gap_s * 1e6);
  }
  return count;
}

static int fault(const char *graph) {
  graph = strrchr(graph, '/') ? strrchr(graph, '/') : graph;
  if (strstr(graph, "segfault")) raise(SIGSEGV);
  while (strstr(graph, "hang")) sleep(1);
  while (strstr(graph, "flood")) puts("INFO: no end to this");
  if (strstr(graph, "silent")) exit(0);
  return strstr(graph, "refused") != NULL;
}

int main(int count, char **given) {
  long start = now_us();
  const char *graph = option(count, given, "graph", "");
  FILE *file = fopen(graph, "rb");
  static unsigned char bytes[1 << 22];
  long size = file ? (long)fread(bytes, 1, sizeof bytes, file) : 0;
  puts("INFO: STARTING!");
  printf("INFO: Graph: [%s]\nINFO: Num threads: [%s]\nINFO: Use xnnpack: [%s]\n", graph,
         option(count, given, "num_threads", "-1"), option(count, given, "use_xnnpack", "1"));
  if (fault(graph) || size < 8 || memcmp(bytes + 4, "TFL3", 4)) {
    fprintf(stderr, "ERROR: Failed to load model %s\nERROR: Benchmarking failed.\n", graph);
    return 1;
  }
  printf("INFO: The input model file size (MB): %g\n", size / 1e6);
  long load_us = now_us() - start;
  printf("INFO: Initialized session in %gms.\n", load_us / 1e3);
  double max_s = atof(option(count, given, "max_secs", "150"));
  double rate = atof(option(count, given, "run_frequency", "-1"));
  int warmups = run(bytes, size, atoi(option(count, given, "warmup_runs", "1")),
                    atof(option(count, given, "warmup_min_secs", "0.5")), max_s, 0);
  long first = times_us[0];
  double warm = print_statistics(warmups);
  int calls = run(bytes, size, atoi(option(count, given, "num_runs", "50")),
                  atof(option(count, given, "min_secs", "1")), max_s, rate > 0 ? 1 / rate : 0);
  double mean = print_statistics(calls);
  printf("INFO: Inference timings in us: Init: %ld, First inference: %ld, Warmup (avg): %g, "
         "Inference (avg): %g\n", load_us, first, warm, mean);
  return 0;
}
