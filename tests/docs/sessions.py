#!/usr/bin/env python3
"""Types the commands of every `console` block of README.md and docs/ in a lab, and writes what they print into the block.

    cargo build --bin quorate --example lab && sudo tests/docs/sessions.py

Needs root, for the lab. The pages run in the order of PAGES, on one lab of three hosts. In a page,

    <!-- do: SHELL -->          is run and not shown; `lab exec HOST …`, `lab wipe HOST` and `quorate` work there
    <!-- run: keep KEEP; … -->  says which lines of each command's output the next block shows

KEEP is `all`, or line numbers (`1-9`, `-1` for the last, `-4--1` for the last four), and `/PATTERN/+N`, the first line that
matches and N more; separated by commas. What is left out becomes one line `…`. The pages say 10.0.0.11 to 10.0.0.13 for
the addresses that the lab happens to have.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / os.environ.get("PROFILE", "debug")
PAGES = ["README", "docs/bootstrap", "docs/change", "docs/failed-node", "docs/certificates", "docs/backup", "docs/users",
         "docs/ci", "docs/upgrade", "docs/quorum-lost"]


def lab(*arguments):
    return subprocess.run([TARGET / "examples/lab", *arguments], check=True, capture_output=True, text=True).stdout


def kept(lines, keep):
    """The lines that `keep` names, with `…` for each gap."""
    wanted = set()
    for part in keep.split(","):
        part = part.strip()
        pattern = re.fullmatch(r"/(.*)/\+(\d+)", part)
        span = re.fullmatch(r"(-?\d+)(?:-(-?\d+))?", part)
        if part == "all":
            wanted.update(range(len(lines)))
        elif pattern:
            first = next((n for n, line in enumerate(lines) if re.search(pattern[1], line)), None)
            if first is None:
                sys.exit(f"sessions: no line has {pattern[1]!r}:\n" + "\n".join(lines))
            wanted.update(range(first, first + int(pattern[2]) + 1))
        elif span:
            place = lambda number: int(number) - 1 if int(number) > 0 else len(lines) + int(number)
            wanted.update(range(place(span[1]), place(span[2] or span[1]) + 1))
        else:
            sys.exit(f"sessions: {part!r} is no KEEP")
    shown, before = [], -1
    for number in sorted(n for n in wanted if 0 <= n < len(lines)):
        if number > before + 1:
            shown.append("…")
        shown.append(lines[number])
        before = number
    if before + 1 < len(lines) and wanted:
        shown.append("…")
    return shown


class Session:
    def __init__(self, folder, variables, shown_as):
        self.folder, self.shown_as = folder, shown_as
        self.environment = {**os.environ, **variables, "NO_COLOR": "1"}

    def run(self, command):
        done = subprocess.run(["bash", "-c", command], cwd=self.folder, env=self.environment, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        text = done.stdout
        for real, shown in self.shown_as.items():
            text = text.replace(real, shown)
        return done.returncode, [line.rstrip() for line in text.rstrip("\n").split("\n")]

    def page(self, path):
        out, keeps, block = [], [], None
        for line in path.read_text().splitlines():
            do = re.fullmatch(r"<!-- do: (.*) -->", line)
            keep = re.fullmatch(r"<!-- run: keep (.*) -->", line)
            if do:
                code, said = self.run(do[1])
                print(f"{path.name}: {do[1]}  ({code})", file=sys.stderr)
                if code:
                    print("\n".join(said), file=sys.stderr)
            if keep:
                keeps = [part.strip() for part in keep[1].split(";")]
            if line == "```console":
                block = []
            elif line == "```" and block is not None:
                for index, command in enumerate(block):
                    code, said = self.run(command)
                    print(f"{path.name}: $ {command}  ({code})", file=sys.stderr)
                    shown = command
                    out.append("$ " + shown)
                    out.extend(kept(said, keeps[index] if index < len(keeps) else "all"))
                block = None
            elif block is not None:
                if line.startswith("$ "):
                    block.append(line[2:])
                continue
            out.append(line)
        path.write_text("\n".join(out) + "\n")


def main():
    if os.geteuid() != 0:
        sys.exit("sessions: the lab makes network namespaces and mounts, so run this as root")
    archive = re.search(r"^path = (.*)$", lab("archive", "3.5"), re.M)[1]
    newer = lab("archive", "3.6")
    up = lab("up", "3", "--etcd-free")
    number = re.search(r"^lab (\d+)$", up, re.M)[1]
    value = lambda name: re.search(rf"^ *{name} +(.*)$", up, re.M)[1]
    addresses = re.findall(r"^  (etcd-\d)  ([0-9.]+)  on$", up, re.M)
    folder = tempfile.TemporaryDirectory()
    tools = tempfile.TemporaryDirectory()
    Path(tools.name, "lab").write_text(f'#!/bin/sh\nexec {TARGET}/examples/lab --lab {number} "$@"\n')
    Path(tools.name, "lab").chmod(0o755)
    os.symlink(TARGET / "quorate", Path(tools.name, "quorate"))
    variables = {"PATH": f"{tools.name}:{os.environ['PATH']}", "ARCHIVE": archive,
                 "NEWER": re.search(r"^path = (.*)$", newer, re.M)[1],
                 "NEWER_VERSION": re.search(r"^version = (.*)$", newer, re.M)[1], "SSH_CONFIG": value("ssh_config"),
                 "KNOWN_HOSTS": value("known_hosts")}
    shown_as = {address: f"10.0.0.{10 + n}" for n, (_, address) in enumerate(addresses, 1)}
    session = Session(folder.name, variables, {**shown_as, folder.name + "/": "", folder.name: "."})
    typed = {shown: address for address, shown in shown_as.items()}
    plain = session.run

    def translated(command):
        for shown, address in typed.items():
            command = command.replace(shown, address)
        return plain(command)

    session.run = translated
    try:
        for page in sys.argv[1:] or PAGES:
            session.page(ROOT / f"{page}.md")
    finally:
        lab("--lab", number, "down")
        folder.cleanup()


main()
