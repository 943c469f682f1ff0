"""A separation API that misbehaves on demand: both of its wires, on loopback.

    from tests.support.scenario.server import ScenarioServer

    with ScenarioServer(job_seconds=0.2) as server:
        server.scenario(post=[{"status": 429, "headers": {"Retry-After": "1"}}])
        ...  # base_url: server.url
        server.log, server.paid

`python -m tests.support.scenario.server --help` runs it as a process of its own.
`script.py` lists what it can be told to do.
"""
