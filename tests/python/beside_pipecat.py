"""Pipecat as a server that `voxflow bench calls --beside` can measure: the same doors, the same doubles.

Environment: LISTEN (host:port), DOUBLES (host:port of the vendors' doubles).
Needs `pipecat-ai[deepgram,openai,elevenlabs,silero]`, `fastapi`, `uvicorn`.

Deepgram hears, OpenAI thinks, ElevenLabs speaks; 200 ms of Silero's silence end a turn, 200 ms of
voice interrupt: the settings of the flow that voxflow is measured with.
"""

import json
import os
import secrets
import sys
from urllib.parse import parse_qs

import uvicorn
from fastapi import FastAPI, Request, Response, WebSocket
from loguru import logger
from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.audio.vad.vad_analyzer import VADParams
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.runner import PipelineRunner
from pipecat.pipeline.task import PipelineParams, PipelineTask
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import (
    LLMContextAggregatorPair,
    LLMUserAggregatorParams,
)
from pipecat.serializers.twilio import TwilioFrameSerializer
from pipecat.services.deepgram.stt import DeepgramSTTService
from pipecat.services.elevenlabs.tts import ElevenLabsTTSService
from pipecat.services.openai.llm import OpenAILLMService
from pipecat.transports.websocket.fastapi import FastAPIWebsocketParams, FastAPIWebsocketTransport
from pipecat.turns.user_start import VADUserTurnStartStrategy
from pipecat.turns.user_stop import SpeechTimeoutUserTurnStopStrategy
from pipecat.turns.user_turn_strategies import UserTurnStrategies

DOUBLES = os.environ["DOUBLES"]
RATE = 8000

app = FastAPI()
callers = {}


@app.get("/readyz")
async def ready():
    return {}


@app.post("/twilio/voice")
async def voice(request: Request):
    form = parse_qs((await request.body()).decode())
    token = secrets.token_hex(8)
    callers[token] = form["From"][0]
    stream = f'<Stream url="wss://bench/twilio/media"><Parameter name="token" value="{token}"/></Stream>'
    return Response(f"<Response><Connect>{stream}</Connect></Response>", media_type="text/xml")


@app.websocket("/twilio/media")
async def media(socket: WebSocket):
    await socket.accept()
    await socket.receive_text()  # connected
    start = json.loads(await socket.receive_text())["start"]
    caller = callers.pop(start["customParameters"]["token"])
    serializer = TwilioFrameSerializer(
        start["streamSid"], params=TwilioFrameSerializer.InputParams(auto_hang_up=False)
    )
    transport = FastAPIWebsocketTransport(
        socket,
        FastAPIWebsocketParams(audio_in_enabled=True, audio_out_enabled=True, serializer=serializer),
    )
    stt = DeepgramSTTService(api_key="bench", base_url=f"ws://{DOUBLES}", sample_rate=RATE)
    llm = OpenAILLMService(
        api_key="bench",
        base_url=f"http://{DOUBLES}/v1",
        settings=OpenAILLMService.Settings(model="gpt-4o-mini"),
    )
    tts = ElevenLabsTTSService(
        api_key="bench",
        url=f"ws://{DOUBLES}",
        sample_rate=RATE,
        settings=ElevenLabsTTSService.Settings(voice="bench"),
    )
    told = f"You answer the telephone of a shop. The caller is {caller}."
    context = LLMContext([{"role": "system", "content": told}])
    vad = SileroVADAnalyzer(params=VADParams(start_secs=0.2, stop_secs=0.2))
    pair = LLMContextAggregatorPair(
        context,
        user_params=LLMUserAggregatorParams(
            vad_analyzer=vad,
            user_turn_strategies=UserTurnStrategies(
                start=[VADUserTurnStartStrategy()],
                # The silence of the detector is all the silence there is.
                stop=[SpeechTimeoutUserTurnStopStrategy(user_speech_timeout=0.0)],
            ),
        ),
    )
    task = PipelineTask(
        Pipeline([transport.input(), stt, pair.user(), llm, tts, transport.output(), pair.assistant()]),
        params=PipelineParams(audio_in_sample_rate=RATE, audio_out_sample_rate=RATE),
        idle_timeout_secs=None,
    )

    @transport.event_handler("on_client_disconnected")
    async def gone(_transport, _client):
        await task.cancel()

    await PipelineRunner(handle_sigint=False).run(task)


if __name__ == "__main__":
    logger.remove()
    logger.add(sys.stderr, level=os.environ.get("LOG", "ERROR"))
    host, port = os.environ["LISTEN"].rsplit(":", 1)
    uvicorn.run(app, host=host, port=int(port), log_level="error")
