// One call: the microphone and the loudspeaker on one side, WS /browser/call on the other.

/// Opens a call to a number. `on` hears { call, answered, dialing, ended } as they come.
export async function call(url, number, on) {
  const microphone = await navigator.mediaDevices.getUserMedia({
    audio: { echoCancellation: true, noiseSuppression: true, autoGainControl: true, channelCount: 1 },
  });
  let context;
  let source;
  try {
    context = new AudioContext({ sampleRate: 16000 });
    source = context.createMediaStreamSource(microphone);
  } catch {
    // Browsers that cannot take the microphone at another rate: the worklet converts.
    context = new AudioContext();
    source = context.createMediaStreamSource(microphone);
  }
  const release = () => {
    for (const track of microphone.getTracks()) track.stop();
    context.close().catch(() => {});
  };
  let phone;
  try {
    await context.audioWorklet.addModule("worklet.js");
    phone = new AudioWorkletNode(context, "phone", { outputChannelCount: [1] });
  } catch (error) {
    release();
    throw error;
  }
  source.connect(phone).connect(context.destination);

  const socket = new WebSocket(url);
  socket.binaryType = "arraybuffer";
  const tell = (message) => {
    if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
  };
  phone.port.onmessage = ({ data }) => {
    // A network that cannot keep up loses sound rather than bringing it late.
    if (data.frame && socket.readyState === WebSocket.OPEN && socket.bufferedAmount < 32000) socket.send(data.frame);
    if (data.mark !== undefined) tell({ type: "mark", id: data.mark });
  };

  let over = false;
  let cause = "the connection was closed";
  const end = () => {
    if (over) return;
    over = true;
    release();
    socket.close();
    on({ type: "ended", cause });
  };
  // Its last words are still on their way to the ear.
  const endSoon = () => setTimeout(end, 300);
  socket.onopen = () => tell({ type: "start", to: number, from: "browser" });
  socket.onmessage = ({ data }) => {
    if (data instanceof ArrayBuffer) return phone.port.postMessage({ frame: data }, [data]);
    const message = JSON.parse(data);
    if (message.type === "clear") phone.port.postMessage({ clear: true });
    else if (message.type === "mark") phone.port.postMessage({ mark: message.id });
    else if (message.type === "ended") {
      cause = message.cause ?? "normal";
      endSoon();
    } else on(message);
  };
  socket.onclose = endSoon;

  return {
    digit: (digit) => tell({ type: "digit", digit }),
    hangup: () => {
      tell({ type: "hangup" });
      // The far side says `ended`; one that is gone cannot.
      setTimeout(end, 2000);
    },
  };
}
