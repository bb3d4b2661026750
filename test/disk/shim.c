// A shim between a process and its disk: fails chosen calls on chosen files, for whoever preloads it. What it does is read at each call from a
// shared page, the file that HOLDFAST_SHIM names, so that a test turns it on and off while the process runs. See shim.ts for the page.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { READS = 1, WRITES = 2, SYNCS = 4, TRUNCATES = 8 };
enum { FAIL = 0, DO_THEN_FAIL = 1, SHORT = 2, DELAY = 3 };

struct page {
  int armed, calls, skip, count, code, mode, delay_ms, seen, hit;
  char match[200];
};

static struct page *page;

__attribute__((constructor)) static void begin(void) {
  const char *path = getenv("HOLDFAST_SHIM");
  if (path == NULL) return;
  int fd = open(path, O_RDWR | O_CLOEXEC);
  if (fd < 0) return;
  void *at = mmap(NULL, sizeof(struct page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  if (at != MAP_FAILED) page = at;
}

// Whether this call on this file is one of those that are to go wrong.
static int chosen(int call, int fd) {
  if (page == NULL || !page->armed || (page->calls & call) == 0) return 0;
  char link[64], name[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  int kept = errno;
  ssize_t length = readlink(link, name, sizeof name - 1);
  errno = kept;
  if (length < 0) return 0;
  name[length] = 0;
  if (strstr(name, page->match) == NULL) return 0;
  int at = __atomic_fetch_add(&page->seen, 1, __ATOMIC_SEQ_CST);
  if (at < page->skip || (page->count >= 0 && at >= page->skip + page->count)) return 0;
  __atomic_fetch_add(&page->hit, 1, __ATOMIC_SEQ_CST);
  if (page->mode != DELAY) return 1;
  struct timespec pause = {page->delay_ms / 1000, (page->delay_ms % 1000) * 1000000L};
  nanosleep(&pause, NULL);
  return 0;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

#define SHIM(type, name, call, parameters, arguments, shorter)      \
  type name parameters {                                            \
    static __typeof__(&name) real;                                  \
    if (real == NULL) real = REAL(name);                            \
    if (!chosen(call, fd)) return real arguments;                   \
    if (page->mode == SHORT) return shorter;                        \
    if (page->mode == DO_THEN_FAIL) (void)real arguments;           \
    errno = page->code;                                             \
    return -1;                                                      \
  }

#define HALF (n > 1 ? n / 2 : n)

SHIM(int, fsync, SYNCS, (int fd), (fd), real(fd))
SHIM(int, fdatasync, SYNCS, (int fd), (fd), real(fd))
SHIM(int, ftruncate, TRUNCATES, (int fd, off_t n), (fd, n), real(fd, n))
SHIM(int, ftruncate64, TRUNCATES, (int fd, off64_t n), (fd, n), real(fd, n))
SHIM(ssize_t, write, WRITES, (int fd, const void *b, size_t n), (fd, b, n), real(fd, b, HALF))
SHIM(ssize_t, pwrite, WRITES, (int fd, const void *b, size_t n, off_t at), (fd, b, n, at), real(fd, b, HALF, at))
SHIM(ssize_t, pwrite64, WRITES, (int fd, const void *b, size_t n, off64_t at), (fd, b, n, at), real(fd, b, HALF, at))
SHIM(ssize_t, read, READS, (int fd, void *b, size_t n), (fd, b, n), real(fd, b, HALF))
SHIM(ssize_t, pread, READS, (int fd, void *b, size_t n, off_t at), (fd, b, n, at), real(fd, b, HALF, at))
SHIM(ssize_t, pread64, READS, (int fd, void *b, size_t n, off64_t at), (fd, b, n, at), real(fd, b, HALF, at))
