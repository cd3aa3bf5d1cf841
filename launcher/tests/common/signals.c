/* What the tests of supervising start: a program that tells which signals reach it, and what a terminal and a shell do.
 *
 *   signals log [N]       tells each signal: number, code, value. Signal N keeps its effect. One with value 99 ends it, and
 *                         so does a minute without any.
 *   signals send PID N [VALUE]
 *   signals pty CMD...    runs a command in a new terminal: what is read is typed, the byte 255 changes the window's size,
 *                         and the end of what is read hangs up.
 *   signals job CMD...    runs a command as a shell does its foreground job. SIGUSR1 has a stopped job go on.
 *
 * System calls without the C library, which keeps signals 32 and 33 for itself. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void say(const char *format, long a, long b, long c) {
    static int out = -1;
    char line[100];
    if (out < 0)
        out = getenv("LOG") ? open(getenv("LOG"), O_WRONLY | O_CREAT | O_APPEND, 0600) : 1;
    int length = snprintf(line, sizeof line, format, a, b, c);
    if (write(out, line, length) != length)
        _exit(98);
}

static int log_signals(int but) {
    uint64_t all = but ? ~(UINT64_C(1) << (but - 1)) : UINT64_MAX;
    siginfo_t info;
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, NULL, 8);
    say("ready %ld\n", getpid(), 0, 0);
    for (;;) {
        struct timespec minute = {60, 0};
        if (syscall(SYS_rt_sigtimedwait, &all, &info, &minute, 8) < 0) {
            if (errno == EAGAIN)
                return 95;
            continue;
        }
        long value = info.si_code == SI_QUEUE ? info.si_value.sival_int : 0;
        say("%ld %ld %ld\n", info.si_signo, info.si_code, value);
        if (value == 99)
            return 7;
    }
}

static int send_signal(int pid, int number, const char *value) {
    if (!value)
        return syscall(SYS_kill, pid, number) != 0;
    siginfo_t info;
    memset(&info, 0, sizeof info);
    info.si_code = SI_QUEUE;
    info.si_pid = getpid();
    info.si_value.sival_int = atoi(value);
    return syscall(SYS_rt_sigqueueinfo, pid, number, &info) != 0;
}

static int pty(char **command) {
    int terminal;
    struct winsize size = {24, 80, 0, 0};
    pid_t pid = forkpty(&terminal, NULL, NULL, &size);
    if (pid == 0) {
        execvp(command[0], command);
        _exit(97);
    }
    struct pollfd fds[2] = {{0, POLLIN, 0}, {terminal, POLLIN, 0}};
    char buffer[4096];
    while (poll(fds, 2, -1) > 0) {
        if (fds[1].revents) {
            ssize_t got = read(terminal, buffer, sizeof buffer);
            if (got <= 0 || write(1, buffer, got) != got)
                break;
        }
        if (fds[0].revents) {
            ssize_t got = read(0, buffer, 1);
            if (got <= 0)
                break;
            size.ws_row++;
            if ((unsigned char)buffer[0] == 255)
                ioctl(terminal, TIOCSWINSZ, &size);
            else if (write(terminal, buffer, 1) != 1)
                break;
        }
    }
    close(terminal);
    int status;
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int job(char **command) {
    sigset_t go_on;
    sigemptyset(&go_on);
    sigaddset(&go_on, SIGUSR1);
    sigprocmask(SIG_BLOCK, &go_on, NULL);
    signal(SIGTTOU, SIG_IGN);
    pid_t pid = fork();
    if (pid == 0) {
        setpgid(0, 0);
        tcsetpgrp(0, getpid());
        signal(SIGTTOU, SIG_DFL);
        sigprocmask(SIG_UNBLOCK, &go_on, NULL);
        execvp(command[0], command);
        _exit(97);
    }
    setpgid(pid, pid);
    printf("job %d %d\n", getpid(), pid);
    fflush(stdout);
    for (;;) {
        int status, number;
        waitpid(pid, &status, WUNTRACED);
        tcsetpgrp(0, getpgrp());
        if (!WIFSTOPPED(status))
            return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        printf("stopped %d\n", WSTOPSIG(status));
        fflush(stdout);
        sigwait(&go_on, &number);
        tcsetpgrp(0, pid);
        kill(-pid, SIGCONT);
    }
}

int main(int count, char **words) {
    const char *verb = count > 1 ? words[1] : "";
    if (!strcmp(verb, "log"))
        return log_signals(count > 2 ? atoi(words[2]) : 0);
    if (!strcmp(verb, "send") && count > 3)
        return send_signal(atoi(words[2]), atoi(words[3]), words[4]);
    if (!strcmp(verb, "pty"))
        return pty(words + 2);
    if (!strcmp(verb, "job"))
        return job(words + 2);
    return 96;
}
