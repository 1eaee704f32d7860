/* A plugin of QEMU 7.2 and later (plugin API 1): guest instructions, told at marks.
 *
 *   build  cc -O2 -shared -fPIC count_instructions.c -o count_instructions.so
 *   use    qemu-aarch64 -plugin ./count_instructions.so,out=FILE PROGRAM
 *   mark   the guest calls getpriority(MARK, k): FILE gets a line "k count"
 *
 * The count is of every instruction since the program began, of all threads together: use
 * one thread, and the difference between two marks. Debian ships no qemu-plugin.h, so the
 * few declarations that are used are written here after QEMU's documentation of the API.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define EXPORTED __attribute__((visibility("default")))
#define GETPRIORITY 141    /* AArch64's number of the system call */
#define MARK 0x54494e59    /* "TINY": no process group has this number */
#define INLINE_ADD_U64 0   /* QEMU_PLUGIN_INLINE_ADD_U64 */

typedef uint64_t plugin_id;
struct block; /* qemu_plugin_tb: instructions that run one after another */

void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, void (*)(plugin_id, struct block *));
void qemu_plugin_register_vcpu_tb_exec_inline(struct block *, int operation, void *where,
                                              uint64_t amount);
size_t qemu_plugin_tb_n_insns(const struct block *);
void qemu_plugin_register_vcpu_syscall_cb(plugin_id,
    void (*)(plugin_id, unsigned, int64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t,
             uint64_t, uint64_t, uint64_t));

EXPORTED int qemu_plugin_version = 1;

static uint64_t count;
static FILE *out;

static void translated(plugin_id id, struct block *block) {
  (void)id;
  qemu_plugin_register_vcpu_tb_exec_inline(block, INLINE_ADD_U64, &count,
                                           qemu_plugin_tb_n_insns(block));
}

static void called(plugin_id id, unsigned cpu, int64_t number, uint64_t which, uint64_t who,
                   uint64_t a3, uint64_t a4, uint64_t a5, uint64_t a6, uint64_t a7,
                   uint64_t a8) {
  (void)id, (void)cpu, (void)a3, (void)a4, (void)a5, (void)a6, (void)a7, (void)a8;
  if (number == GETPRIORITY && which == MARK) {
    fprintf(out, "%" PRIu64 " %" PRIu64 "\n", who, count);
    fflush(out);
  }
}

EXPORTED int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv) {
  (void)info;
  for (int i = 0; i < argc; i++)
    if (strncmp(argv[i], "out=", 4) == 0) out = fopen(argv[i] + 4, "w");
  if (out == NULL) return -1;
  qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
  qemu_plugin_register_vcpu_syscall_cb(id, called);
  return 0;
}
