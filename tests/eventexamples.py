"""A full example of every event, built from the API reference, and the captured ones."""

from typing import Any

ITEM_IDS = {"event_id": "event_1", "item_id": "item_1"}
IDS = {"event_id": "event_1", "response_id": "resp_1", "item_id": "item_1", "output_index": 0}
PART_IDS = IDS | {"content_index": 0}

USAGE: dict[str, Any] = {
    "total_tokens": 253,
    "input_tokens": 132,
    "output_tokens": 121,
    "input_token_details": {
        "text_tokens": 119,
        "audio_tokens": 13,
        "image_tokens": 0,
        "cached_tokens": 64,
        "cached_tokens_details": {"text_tokens": 64, "audio_tokens": 0, "image_tokens": 0},
    },
    "output_token_details": {"text_tokens": 30, "audio_tokens": 91},
}
TOKENS_USAGE = {
    "type": "tokens",
    "total_tokens": 26,
    "input_tokens": 17,
    "input_token_details": {"text_tokens": 0, "audio_tokens": 17},
    "output_tokens": 9,
}
DURATION_USAGE = {"type": "duration", "seconds": 3.2}

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FUNCTION = {
    "type": "function",
    "name": "weather",
    "description": "Tells the weather.",
    "parameters": SCHEMA,
}
MCP_BY_NAMES = {
    "type": "mcp",
    "server_label": "docs",
    "server_url": "https://mcp.example.com",
    "authorization": "secret-1",
    "headers": {"X-Key": "secret-2"},
    "allowed_tools": ["search"],
    "require_approval": "never",
    "server_description": "Searches.",
    "defer_loading": True,
    "allowed_callers": ["direct"],
}
MCP_BY_FILTER = {
    "type": "mcp",
    "server_label": "mail",
    "connector_id": "connector_gmail",
    "tunnel_id": "tunnel_1",
    "allowed_tools": {"read_only": True, "tool_names": ["list"]},
    "require_approval": {"always": {"read_only": False}, "never": {"tool_names": ["list"]}},
}
SERVER_VAD = {
    "type": "server_vad",
    "threshold": 0.5,
    "prefix_padding_ms": 300,
    "silence_duration_ms": 200,
    "create_response": True,
    "interrupt_response": True,
    "idle_timeout_ms": 6000,
}
SEMANTIC_VAD = {
    "type": "semantic_vad",
    "eagerness": "auto",
    "create_response": True,
    "interrupt_response": False,
}
PCM = {"type": "audio/pcm", "rate": 24000}
TRACING = {"workflow_name": "w", "group_id": "g", "metadata": {"a": [1, {"b": None}]}}
PROMPT = {"id": "pmpt_1", "version": "2", "variables": {"name": "Ann", "more": {"type": "x"}}}

SESSION: dict[str, Any] = {
    "type": "realtime",
    "object": "realtime.session",
    "id": "sess_1",
    "expires_at": 1789728574,
    "model": "gpt-realtime-2.1",
    "output_modalities": ["audio"],
    "instructions": "Be kind.",
    "audio": {
        "input": {
            "format": PCM,
            "transcription": {
                "model": "gpt-transcribe",
                "language": "en",
                "prompt": "names",
                "delay": "low",
                "keywords": ["trio"],
                "languages": ["en", "de"],
            },
            "noise_reduction": {"type": "near_field", "strength": 0.7},
            "turn_detection": SERVER_VAD,
        },
        "output": {"format": {"type": "audio/pcmu"}, "voice": "marin", "speed": 1.0},
    },
    "tools": [FUNCTION, MCP_BY_NAMES, MCP_BY_FILTER],
    "tool_choice": "auto",
    "parallel_tool_calls": True,
    "reasoning": {"effort": "low"},
    "max_output_tokens": "inf",
    "truncation": {
        "type": "retention_ratio",
        "retention_ratio": 0.8,
        "token_limits": {"post_instructions": 5000},
    },
    "tracing": TRACING,
    "prompt": PROMPT,
    "include": ["item.input_audio_transcription.logprobs"],
}
TRANSCRIPTION_SESSION: dict[str, Any] = {
    "type": "transcription",
    "object": "realtime.transcription_session",
    "id": "sess_1",
    "expires_at": 1789728574,
    "audio": {"input": {"format": PCM, "transcription": None, "turn_detection": SEMANTIC_VAD}},
    "include": None,
}
BETA_TRANSCRIPTION_SESSION: dict[str, Any] = {
    "id": "sess_1",
    "object": "realtime.transcription_session",
    "expires_at": 1789728574,
    "modalities": ["text"],
    "input_audio_format": "pcm16",
    "input_audio_transcription": {"model": "whisper-1", "language": "", "prompt": ""},
    "input_audio_noise_reduction": {"type": "far_field"},
    "turn_detection": SERVER_VAD,
    "include": None,
    "client_secret": {"value": "secret-3", "expires_at": 1789728574},
}
BETA_SESSION: dict[str, Any] = BETA_TRANSCRIPTION_SESSION | {
    "object": "realtime.session",
    "model": "gpt-4o-realtime-preview",
    "modalities": ["text", "audio"],
    "instructions": "",
    "voice": "alloy",
    "output_audio_format": "g711_ulaw",
    "tools": [FUNCTION],
    "tool_choice": {"type": "function", "function": {"name": "weather"}},
    "temperature": 0.8,
    "max_response_output_tokens": "inf",
    "max_output_tokens": 500,
    "speed": 1.5,
    "tracing": "auto",
    "prompt": None,
    "truncation": "disabled",
    "client_secret": {"expires_after": {"anchor": "created_at", "seconds": 600}},
}

COMMON = {"id": "item_1", "object": "realtime.item", "status": "completed"}
PARTS: list[dict[str, Any]] = [
    {"type": "input_text", "text": "Hello"},
    {"type": "input_audio", "audio": "AAAA", "transcript": None},
    {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "high"},
    {"type": "output_text", "text": "Hi"},
    {"type": "output_audio", "audio": "AAAA", "transcript": "Hi"},
    {"type": "text", "text": "Hi"},
    {"type": "audio", "audio": "AAAA", "transcript": "Hi"},
    {"type": "item_reference", "id": "item_0"},
]
MESSAGE = {"type": "message", "role": "user", "content": PARTS} | COMMON
MCP_CALL = {
    "type": "mcp_call",
    "server_label": "docs",
    "name": "search",
    "arguments": "{}",
    "approval_request_id": "item_0",
} | COMMON
ITEMS: list[dict[str, Any]] = [
    MESSAGE,
    {"type": "function_call", "name": "weather", "arguments": "{}", "call_id": "call_1"} | COMMON,
    {"type": "function_call_output", "call_id": "call_1", "output": "sunny"} | COMMON,
    {
        "type": "mcp_list_tools",
        "server_label": "docs",
        "tools": [
            {"name": "a", "input_schema": SCHEMA, "description": "d", "annotations": {"x": [1]}},
            {"name": "b", "input_schema": True},
        ],
    }
    | COMMON,
    MCP_CALL | {"output": "found", "error": None},
    MCP_CALL | {"error": {"type": "protocol_error", "code": -32600, "message": "m"}},
    MCP_CALL | {"error": {"type": "tool_execution_error", "message": "m"}},
    MCP_CALL | {"error": {"type": "http_error", "code": 502, "message": "m"}},
    {"type": "mcp_approval_request", "server_label": "docs", "name": "a", "arguments": "{}"}
    | COMMON,
    {
        "type": "mcp_approval_response",
        "approval_request_id": "item_0",
        "approve": True,
        "reason": None,
    }
    | COMMON,
    {"type": "item_reference", "id": "item_0"},
]

RESPONSE: dict[str, Any] = {
    "object": "realtime.response",
    "id": "resp_1",
    "status": "failed",
    "status_details": {
        "type": "failed",
        "reason": "content_filter",
        "error": {"type": "tokens", "code": "rate_limit_exceeded", "message": "m"},
    },
    "output": ITEMS,
    "conversation_id": "conv_1",
    "output_modalities": ["audio"],
    "max_output_tokens": 4096,
    "audio": {"output": {"format": {"type": "audio/pcma"}, "voice": {"id": "voice_1"}}},
    "metadata": {"k": "v"},
    "usage": USAGE,
}
BETA_RESPONSE: dict[str, Any] = {
    "object": "realtime.response",
    "id": "resp_1",
    "status": "in_progress",
    "status_details": None,
    "output": [],
    "conversation_id": None,
    "modalities": ["text", "audio"],
    "max_output_tokens": "inf",
    "voice": "alloy",
    "output_audio_format": "pcm16",
    "temperature": 0.8,
    "usage": None,
    "metadata": None,
}
PARAMETERS: dict[str, Any] = {
    "output_modalities": ["text"],
    "instructions": "Be short.",
    "audio": {"output": {"format": PCM, "voice": "cedar"}},
    "tools": [FUNCTION],
    "tool_choice": {"type": "function", "name": "weather"},
    "parallel_tool_calls": False,
    "reasoning": {"effort": "high"},
    "max_output_tokens": 100,
    "conversation": "none",
    "input": ITEMS,
    "metadata": {"k": "v"},
    "prompt": PROMPT,
}
BETA_PARAMETERS: dict[str, Any] = {
    "modalities": ["text"],
    "instructions": "Be short.",
    "voice": "alloy",
    "output_audio_format": "pcm16",
    "tools": [FUNCTION],
    "tool_choice": {"type": "mcp", "server_label": "docs", "name": "search"},
    "temperature": 0.7,
    "max_response_output_tokens": 500,
    "max_output_tokens": 500,
    "conversation": "auto",
    "input": [],
    "metadata": None,
    "prompt": None,
}
LOGPROBS = [{"token": "Hi", "logprob": -0.25, "bytes": [72, 105]}]
PART = {"type": "audio", "transcript": "Hi"}
TRANSCRIPTION = "conversation.item.input_audio_transcription"

#: Every client event of the reference, in full.
CLIENT: list[dict[str, Any]] = [
    {"type": "session.update", "event_id": "e1", "session": SESSION},
    {"type": "session.update", "event_id": "e1", "session": TRANSCRIPTION_SESSION},
    {"type": "session.update", "event_id": "e1", "session": BETA_SESSION},
    {
        "type": "transcription_session.update",
        "event_id": "e1",
        "session": BETA_TRANSCRIPTION_SESSION
        | {"client_secret": {"expires_at": {"anchor": "created_at", "seconds": 60}}},
    },
    {"type": "input_audio_buffer.append", "event_id": "e1", "audio": "AAAA"},
    {"type": "input_audio_buffer.commit", "event_id": "e1"},
    {"type": "input_audio_buffer.clear", "event_id": "e1"},
    {"type": "output_audio_buffer.clear", "event_id": "e1"},
    *(
        {
            "type": "conversation.item.create",
            "event_id": "e1",
            "item": item,
            "previous_item_id": "root",
        }
        for item in ITEMS
    ),
    {"type": "conversation.item.retrieve", "event_id": "e1", "item_id": "item_1"},
    {
        "type": "conversation.item.truncate",
        "event_id": "e1",
        "item_id": "item_1",
        "content_index": 0,
        "audio_end_ms": 1500,
    },
    {"type": "conversation.item.delete", "event_id": "e1", "item_id": "item_1"},
    {"type": "response.create", "event_id": "e1", "response": PARAMETERS},
    {"type": "response.create", "event_id": "e1", "response": BETA_PARAMETERS},
    {"type": "response.create", "event_id": "e1", "response": {}},
    {"type": "response.cancel", "event_id": "e1", "response_id": "resp_1"},
]

_TWICE = ("added", "done")
#: Every server event of the reference, in full.
SERVER: list[dict[str, Any]] = [
    {
        "type": "error",
        "event_id": "event_1",
        "error": {
            "type": "invalid_request_error",
            "code": "invalid_value",
            "message": "m",
            "param": "session.output_modalities",
            "event_id": None,
        },
    },
    *(
        {"type": f"session.{verb}", "event_id": "event_1", "session": session}
        for verb in ("created", "updated")
        for session in (SESSION, TRANSCRIPTION_SESSION, BETA_SESSION, BETA_TRANSCRIPTION_SESSION)
    ),
    *(
        {
            "type": f"transcription_session.{verb}",
            "event_id": "event_1",
            "session": BETA_TRANSCRIPTION_SESSION,
        }
        for verb in ("created", "updated")
    ),
    {
        "type": "conversation.created",
        "event_id": "event_1",
        "conversation": {"id": "conv_1", "object": "realtime.conversation"},
    },
    *(
        {
            "type": f"conversation.item.{verb}",
            "event_id": "event_1",
            "item": item,
            "previous_item_id": None,
        }
        for verb in ("added", "done", "created")
        for item in ITEMS
    ),
    {"type": "conversation.item.retrieved", "event_id": "event_1", "item": MESSAGE},
    {"type": "conversation.item.truncated", "content_index": 0, "audio_end_ms": 15} | ITEM_IDS,
    {"type": "conversation.item.deleted"} | ITEM_IDS,
    {
        "type": f"{TRANSCRIPTION}.delta",
        "content_index": 0,
        "delta": "Hel",
        "logprobs": LOGPROBS,
        "obfuscation": "xyz",
    }
    | ITEM_IDS,
    *(
        {
            "type": f"{TRANSCRIPTION}.completed",
            "content_index": 0,
            "transcript": "Hello",
            "usage": usage,
            "logprobs": LOGPROBS,
            "languages": [{"code": "en"}],
        }
        | ITEM_IDS
        for usage in (TOKENS_USAGE, DURATION_USAGE)
    ),
    {
        "type": f"{TRANSCRIPTION}.segment",
        "content_index": 0,
        "id": "seg_1",
        "text": "Hello",
        "speaker": "A",
        "start": 0,
        "end": 1.25,
    }
    | ITEM_IDS,
    {
        "type": f"{TRANSCRIPTION}.failed",
        "content_index": 0,
        "error": {"type": "t", "code": "c", "message": "m", "param": None},
    }
    | ITEM_IDS,
    {"type": "input_audio_buffer.committed", "previous_item_id": None} | ITEM_IDS,
    {"type": "input_audio_buffer.cleared", "event_id": "event_1"},
    {"type": "input_audio_buffer.speech_started", "audio_start_ms": 100} | ITEM_IDS,
    {"type": "input_audio_buffer.speech_stopped", "audio_end_ms": 200} | ITEM_IDS,
    {
        "type": "input_audio_buffer.timeout_triggered",
        "audio_start_ms": 100,
        "audio_end_ms": 6100,
    }
    | ITEM_IDS,
    {"type": "input_audio_buffer.dtmf_event_received", "event": "9", "received_at": 1763605109},
    *(
        {"type": f"output_audio_buffer.{verb}", "event_id": "event_1", "response_id": "resp_1"}
        for verb in ("started", "stopped", "cleared")
    ),
    {"type": "response.created", "event_id": "event_1", "response": BETA_RESPONSE},
    {"type": "response.done", "event_id": "event_1", "response": RESPONSE},
    *(
        {
            "type": f"response.output_item.{verb}",
            "event_id": "event_1",
            "response_id": "resp_1",
            "output_index": 0,
            "item": MESSAGE,
        }
        for verb in _TWICE
    ),
    *({"type": f"response.content_part.{verb}", "part": PART} | PART_IDS for verb in _TWICE),
    *(
        {"type": f"response.{name}.delta", "delta": "Hi"} | PART_IDS
        for name in (
            "output_text",
            "output_audio",
            "output_audio_transcript",
            "text",
            "audio",
            "audio_transcript",
        )
    ),
    {"type": "response.output_text.delta", "delta": "Hi", "obfuscation": "xyz"} | PART_IDS,
    *(
        {"type": f"response.{name}.done", "text": "Hi"} | PART_IDS
        for name in ("output_text", "text")
    ),
    *({"type": f"response.{name}.done"} | PART_IDS for name in ("output_audio", "audio")),
    *(
        {"type": f"response.{name}.done", "transcript": "Hi"} | PART_IDS
        for name in ("output_audio_transcript", "audio_transcript")
    ),
    {"type": "response.function_call_arguments.delta", "call_id": "call_1", "delta": "{"} | IDS,
    {
        "type": "response.function_call_arguments.done",
        "call_id": "call_1",
        "arguments": "{}",
        "name": "weather",
    }
    | IDS,
    {"type": "response.mcp_call_arguments.delta", "delta": "{", "obfuscation": None} | IDS,
    {"type": "response.mcp_call_arguments.done", "arguments": "{}"} | IDS,
    *(
        {"type": f"response.mcp_call.{verb}", "output_index": 0} | ITEM_IDS
        for verb in ("in_progress", "completed", "failed")
    ),
    *(
        {"type": f"mcp_list_tools.{verb}"} | ITEM_IDS
        for verb in ("in_progress", "completed", "failed")
    ),
    {
        "type": "rate_limits.updated",
        "event_id": "event_1",
        "rate_limits": [
            {"name": "tokens", "limit": 15000000, "remaining": 14999716, "reset_seconds": 0.001},
            {"name": "requests", "limit": 1000, "remaining": 999, "reset_seconds": 60},
        ],
    },
]

#: Texts as they were seen on sockets, or as the reference prints them.
CAPTURED = [
    # The session of an answer to POST /v1/realtime/client_secrets.
    """{"type":"session.created","event_id":"event_1","session":
 {"type":"realtime","object":"realtime.session","id":"sess_1","model":"gpt-realtime-2.1",
   "output_modalities":["audio"],
   "instructions":"...","tools":[],"tool_choice":"auto","max_output_tokens":"inf","tracing":null,
   "truncation":"auto","prompt":null,"expires_at":0,"audio":{},"include":null}}""",
    # A transcription session, GA dialect.
    """{"type":"session.created","event_id":"event_1","session":
{"type":"transcription","object":"realtime.transcription_session","id":"sess_1",
 "expires_at":1789728574,
 "audio":{"input":{"format":{"type":"audio/pcm","rate":24000},"transcription":null,
   "noise_reduction":null,
   "turn_detection":{"type":"server_vad","threshold":0.5,"prefix_padding_ms":300,
     "silence_duration_ms":200}}},
 "include":null}}""",
    # A Beta client's session.update, and the same in the GA dialect.
    """{"type":"session.update","event_id":"e1","session":{"modalities":["text","audio"],
 "voice":"alloy","input_audio_format":"g711_ulaw","output_audio_format":"pcm16",
 "input_audio_transcription":{"model":"whisper-1"},
 "input_audio_noise_reduction":null,"turn_detection":null,"temperature":0.7,
 "max_response_output_tokens":500,
 "tool_choice":{"type":"function","function":{"name":"f"}},
 "tools":[{"type":"function","name":"f","parameters":{}}]}}""",
    """{"type":"session.update","event_id":"e1","session":{"type":"realtime",
 "output_modalities":["audio"],
 "audio":{"input":{"format":{"type":"audio/pcmu"},"transcription":{"model":"whisper-1"},
   "noise_reduction":null,"turn_detection":null},
          "output":{"format":{"type":"audio/pcm","rate":24000},"voice":"alloy"}},
 "max_output_tokens":500,"tool_choice":{"type":"function","name":"f"},
 "tools":[{"type":"function","name":"f","parameters":{}}]}}""",
    """{"type":"session.update","session":{"type":"transcription",
 "audio":{"input":{"format":{"type":"audio/pcm","rate":24000},
   "transcription":{"model":"gpt-4o-transcribe","language":"en"},
   "turn_detection":{"type":"server_vad","threshold":0.5}}},
 "include":["item.input_audio_transcription.logprobs"]}}""",
    # A response in the GA dialect, and the same in the Beta dialect.
    """{"type":"response.done","event_id":"ev9","response":{"object":"realtime.response",
 "id":"resp_1","status":"completed","status_details":null,
 "output":[{"id":"item_2","type":"message","status":"completed","role":"assistant",
   "content":[{"type":"output_audio","transcript":"Hi"}]}],
 "conversation_id":"conv_1","output_modalities":["audio"],"max_output_tokens":"inf",
 "audio":{"output":{"format":{"type":"audio/pcm","rate":24000},"voice":"alloy"}},
 "usage":{"total_tokens":10},"metadata":null}}""",
    """{"type":"response.done","event_id":"ev9","response":{"object":"realtime.response",
 "id":"resp_1","status":"completed","status_details":null,
 "output":[{"id":"item_2","object":"realtime.item","type":"message","status":"completed",
   "role":"assistant","content":[{"type":"audio","transcript":"Hi"}]}],
 "conversation_id":"conv_1","modalities":["text","audio"],"max_output_tokens":"inf",
 "voice":"alloy","output_audio_format":"pcm16",
 "temperature":0.8,"usage":{"total_tokens":10},"metadata":null}}""",
    # Errors.
    """{"type":"error","event_id":"event_1","error":{"type":"invalid_request_error",
 "code":"invalid_api_key","message":"Incorrect API key provided.","param":null,
 "event_id":null}}""",
    """{"type":"error","event_id":null,"error":{
  "type":"invalid_request_error","code":"invalid_value","message":"...",
  "param":"session.output_modalities","event_id":"e1"}}""",
    # What a response and two transcriptions cost.
    """{"type":"response.done","event_id":"ev9","response":{"usage":
{"total_tokens":253,"input_tokens":132,"output_tokens":121,
 "input_token_details":{"text_tokens":119,"audio_tokens":13,"image_tokens":0,"cached_tokens":64,
   "cached_tokens_details":{"text_tokens":64,"audio_tokens":0,"image_tokens":0}},
 "output_token_details":{"text_tokens":30,"audio_tokens":91}}}}""",
    """{"type":"conversation.item.input_audio_transcription.completed","event_id":"e1",
 "item_id":"i","content_index":0,"transcript":"Hi","usage":
 {"type":"tokens","total_tokens":26,"input_tokens":17,
  "input_token_details":{"text_tokens":0,"audio_tokens":17},"output_tokens":9}}""",
    """{"type":"conversation.item.input_audio_transcription.completed","event_id":"e1",
 "item_id":"i","content_index":0,"transcript":"Hi","usage":
 {"type":"duration","seconds":3.2}}""",
    # A limit, as it came 43 ms after a response.
    """{"type":"rate_limits.updated","event_id":"e1","rate_limits":[
 {"name":"tokens","limit":15000000,"remaining":14999716,"reset_seconds":0.001}]}""",
    # What SDKs send first.
    """{"type":"session.update","session":{"type":"realtime","tracing":"auto"}}""",
    """{"type":"response.create"}""",
]
