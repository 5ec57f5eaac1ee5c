// A Reactor plugin.
import {setTimeout as sleep} from 'node:timers/promises'

export const actions = {
  double: async (input) => ({result: input.value * 2}),
}

export const triggers = {
  async ticks({count, period}, listen) {
    for (let n = (listen.cursor ?? 0) + 1; n <= count; n++) {
      await listen.emit({data: {n}}, n)
      if (period) await sleep(period * 1000, null, {signal: listen.signal})
    }
    await new Promise((resolve) => listen.signal.addEventListener('abort', resolve))
  },
}
