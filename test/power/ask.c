/*
 * Loaded into a process with LD_PRELOAD. Before each call that may change a file whose path contains ASK_UNDER, it asks its parent: a line
 * `ask <call> <path>` on descriptor 3, an answer of one byte on descriptor 4, and does as it is told: 'g' go on, 'n' nothing but say that it was
 * done, 'e' EIO, 'i' EINVAL, 's' ENOSPC. ASK_KINDS: 's' syncs, 'n' names, 'w' bytes. One call at a time, from asking to its end: while one waits
 * for an answer none of the others runs, on whatever thread.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
static const char *under = "", *kinds = "";

__attribute__((constructor)) static void begin(void) {
  if (getenv("ASK_UNDER")) under = getenv("ASK_UNDER");
  if (getenv("ASK_KINDS")) kinds = getenv("ASK_KINDS");
}

static const char *of(int fd, char *path, size_t size) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, size - 1);
  path[length < 0 ? 0 : length] = 0;
  return path;
}

/* 1: go on, 0: it is done, -1: it failed, with errno. Not through the calls that are wrapped here. */
static int ask(const char *call, const char *path) {
  char line[4500], answer;
  int length = snprintf(line, sizeof line, "ask %s %s\n", call, path);
  if (syscall(SYS_write, 3, line, length) != length || syscall(SYS_read, 4, &answer, 1) != 1) _exit(99);
  if (answer == 'g' || answer == 'n') return answer == 'g';
  errno = answer == 'i' ? EINVAL : answer == 's' ? ENOSPC : EIO;
  return -1;
}

#define WRAP(kind, type, name, params, args, where, done)                                 \
  type name params {                                                                      \
    static type(*real) params;                                                            \
    char path[4200] = "";                                                                 \
    if (!real) real = (type(*) params)dlsym(RTLD_NEXT, #name);                            \
    if (!*under || !strchr(kinds, kind) || !strstr(where, under)) return real args;       \
    pthread_mutex_lock(&turn);                                                            \
    int way = ask(#name, *path ? path : where);                                           \
    type answer = way > 0 ? real args : way == 0 ? (type)(done) : (type)-1;               \
    int kept = errno;                                                                     \
    pthread_mutex_unlock(&turn);                                                          \
    errno = kept;                                                                         \
    return answer;                                                                        \
  }

#define FILE_OF of(fd, path, sizeof path)

WRAP('s', int, fsync, (int fd), (fd), FILE_OF, 0)
WRAP('s', int, fdatasync, (int fd), (fd), FILE_OF, 0)
WRAP('s', int, syncfs, (int fd), (fd), FILE_OF, 0)
WRAP('n', int, rename, (const char *from, const char *to), (from, to), to, 0)
WRAP('n', int, link, (const char *from, const char *to), (from, to), to, 0)
WRAP('n', int, unlink, (const char *name), (name), name, 0)
WRAP('n', int, remove, (const char *name), (name), name, 0)
WRAP('n', int, rmdir, (const char *name), (name), name, 0)
WRAP('n', int, mkdir, (const char *name, mode_t mode), (name, mode), name, 0)
WRAP('n', int, ftruncate, (int fd, off_t size), (fd, size), FILE_OF, 0)
WRAP('n', int, ftruncate64, (int fd, off64_t size), (fd, size), FILE_OF, 0)
WRAP('w', ssize_t, write, (int fd, const void *bytes, size_t size), (fd, bytes, size), FILE_OF, size)
WRAP('w', ssize_t, pwrite, (int fd, const void *bytes, size_t size, off_t at), (fd, bytes, size, at), FILE_OF, size)
WRAP('w', ssize_t, pwrite64, (int fd, const void *bytes, size_t size, off64_t at), (fd, bytes, size, at), FILE_OF, size)
