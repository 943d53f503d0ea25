import type { NoteListener, PeerNotes } from '../../raft/index.ts'

/** Beats begin with a byte that no text of JSON begins with: all others are broadcasts. */
const beatTag = 1

/** Two ways for notes of two kinds, over the one that there is. */
export function splitNotes (notes: PeerNotes): { readonly broadcasts: PeerNotes, readonly beats: PeerNotes } {
  let broadcastListener: NoteListener = () => {}
  let beatListener: NoteListener = () => {}
  notes.listen((from, note) => {
    if (note[0] === beatTag) beatListener(from, note.subarray(1))
    else broadcastListener(from, note)
  })
  return {
    broadcasts: {
      send: async (to, note) => { await notes.send(to, note) },
      listen: (listener) => { broadcastListener = listener }
    },
    beats: {
      send: async (to, note) => { await notes.send(to, Buffer.concat([Uint8Array.of(beatTag), note])) },
      listen: (listener) => { beatListener = listener }
    }
  }
}
