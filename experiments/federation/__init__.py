"""A whole federation on this machine: what three organisations would start on theirs, as one command.

`siloscore federation up --data DIR` starts the processes, each organisation's in a folder of its own below
`DIR/federation/` (`layout.py` has the paths):

    coordinator/
      ca.crt, ca.key            the certificate authority of this federation; parties get ca.crt
      server.crt, server.key    certificate (localhost, 127.0.0.1) of the SuperLink and of the front door
      superexec.secret          shared by the SuperLink and its executor
      superlink.db              the SuperLink's database
      parties.toml              who may connect: per party a table with `supernode`, its registered public key (one line
                                of OpenSSH), and `identity`, the public keys that `siloscore keys` prints; the
                                environment of the executor, and so of every ServerApp, names this file in
                                SILOSCORE_PARTIES
      flower/                   FLWR_HOME: `config.toml` has the connection `siloscore` to the SuperLink, `STUDY.jsonl`
                                a study's progress; the ServerApp of a run holds `RUN.lock` while it lives
      journal/                  what `siloscore resume` goes on from, by study
      status.json, *.log        what its supervisor says, and what the processes have written
    PARTY/                      one for each party, named like its folder
      supernode.key, .pub       the key pair of its SuperNode (ECDSA P-384, OpenSSH)
      ca.crt                    a copy of the coordinator's
      superexec.secret          shared by the SuperNode and the party's worker
      status.json, *.log
    federation.json             what runs: the ports, each supervisor's process, since when

Ports are free ones of 127.0.0.1, drawn at `up` and kept until `down`: the SuperLink (Fleet, Control and Runtime API;
only the coordinator may reach it), the front door (the only one that parties need), and one for each SuperNode (only
its worker may reach it).

The programs are the same on separate hosts: the coordinator runs `flower-superlink`, `python -m server.executor` and
`python -m server.front_door`; a party runs `python -m clients.node`, which keeps a SuperNode and its worker
(`python -m clients.worker`) running as one unit.
"""
