"""An embedded provider that speaks the Realtime API as OpenAI does, or did (Beta).

A conversation over two async callables, for trying clients and for tests.
Never comes in: a WebSocket, a socket, a key, a translator between the dialects,
or anything from outside of the conversation. Not simulated: MCP tools, WebRTC
and SIP, and ``idle_timeout_ms``.
"""

from rt_proxy.simulator.conversation import Receive, Send, SimulatorEnd, converse
from rt_proxy.simulator.faults import Fault, fault_problem, parse_fault

__all__ = ["Fault", "Receive", "Send", "SimulatorEnd", "converse", "fault_problem", "parse_fault"]
