"""Fuzzing: damaged, lying and hostile input, run in a child process and judged from outside.

A ``Case`` (cases.py) is one input: files, and the surface that reads them. Seeds (seeds.py) are
whole inputs of our own making; mutations (mutations/) turn a seed into a case. A ``Worker``
(worker.py) hands cases to a child process (child.py) that is limited and watched, and says what
came of each; a campaign (campaign.py) runs many and fails with every kind of finding there was.

Whatever happens must be one of two things: it worked and what came out is sane (sanity.py), or it
was refused with an error of ours. A traceback of another kind, a crash, a hang, memory without
bound, anything executed, any input changed, and chatter of native libraries are findings.
"""
