// Write a Reactor plugin in JavaScript: Node 18 or later, no packages; for gRPC, reactor-plugin-grpc.mjs beside it.
//
//   command: [node, ./reactor-plugin.mjs, ./plugin.mjs]
//
// plugin.mjs may be one function for its one action,
//   export default async (input) => ({result: input.value * 2})
// or name several, and triggers:
//   export const actions = {double: async (input, call) => ({result: input.value * 2})}
//   export const triggers = {async ticks(options, listen) {
//     for (let n = (listen.cursor ?? 0) + 1; !listen.signal.aborted; n++) await listen.emit({data: {n}}, n)
//   }}
// The protocol keeps stdout for itself: what is written there (console.log) goes to stderr, and so into the daemon's log.

import {createHash} from 'node:crypto'
import {readFileSync} from 'node:fs'
import {dirname, join, resolve} from 'node:path'
import {createInterface} from 'node:readline'
import {pathToFileURL} from 'node:url'

const PROTOCOL = 1

/** A failed call: `type` is what a flow's handler catches, `retryable` whether the step may be tried again. */
export class Failure extends Error {
  constructor(message, {type = 'plugin.failed', retryable = false, details = {}} = {}) {
    super(message)
    this.data = {type, retryable, details}
  }
}

const out = process.stdout.write.bind(process.stdout)
process.stdout.write = process.stderr.write.bind(process.stderr)
let send = (message) => out(JSON.stringify({jsonrpc: '2.0', ...message}) + '\n')
const notify = (method, params) => send({method, params})
const asked = new Map()
let numbers = 0

/** Sends an event by itself; resolves when it is durable. */
export const publish = (type, data, event = {}) => new Promise((resolve, reject) => {
  const id = `p${++numbers}`
  asked.set(id, {resolve, reject})
  send({id, method: 'publish', params: {event: {type, data, ...event}}})
})

class Listen {
  constructor(id, cursor, credit, signal) {
    Object.assign(this, {id, cursor, credit, signal, sent: 0, done: 0, waiting: []})
  }

  /** Sends an event ({data, key, type, subject, time, fields}); waits while too many are not durable yet. */
  async emit(event, cursor = null) {
    while (this.sent - this.done >= this.credit) await new Promise((wake) => this.waiting.push(wake))
    this.signal.throwIfAborted()
    notify('event', {listen: this.id, n: ++this.sent, event, cursor})
    return this.sent
  }

  /** Resolves when the event of that number, and all before it, are on the daemon's disk. */
  async durable(number) {
    while (this.done < number) await new Promise((wake) => this.waiting.push(wake))
  }

  acknowledged(number) {
    this.done = Math.max(this.done, number)
    for (const wake of this.waiting.splice(0)) wake()
  }
}

/** Serves actions and triggers until the host closes stdin; over gRPC where the environment says so. */
export async function serve({actions = {}, triggers = {}, only = null, hash}) {
  const working = new Map()
  const listening = new Map()

  const answer = async (id, work) => {
    const abort = new AbortController()
    working.set(id, abort)
    try {
      send({id, result: (await work(abort.signal)) ?? null})
    } catch (error) {
      const data = error instanceof Failure ? error.data : {type: abort.signal.aborted ? 'cancelled' : 'plugin.failed'}
      send({id, error: {code: -32000, message: String(error?.message ?? error), data}})
    } finally {
      working.delete(id)
      listening.delete(id)
    }
  }

  const methods = {
    handshake: (id) => send({id, result: {protocol: PROTOCOL, manifest: hash}}),
    act: (id, {action, input, context}) => answer(id, async (signal) => {
      const run = actions[action] ?? only
      if (!run) throw new Failure(`there is no action ${action}`, {type: 'plugin.unknown'})
      const log = (message, level = 'info') => notify('log', {call: id, level, message: String(message)})
      const progress = (percent, message) => notify('progress', {call: id, percent, message})
      return run(input, {...context, action, log, progress, signal})
    }),
    listen: (id, {trigger, options, cursor, credit}) => answer(id, async (signal) => {
      const run = triggers[trigger]
      if (!run) throw new Failure(`there is no trigger ${trigger}`, {type: 'plugin.unknown'})
      const open = new Listen(id, cursor, credit, signal)
      listening.set(id, open)
      signal.addEventListener('abort', () => open.acknowledged(Infinity))
      return run(options, open)
    }),
    ack: (_, {listen, n}) => listening.get(listen)?.acknowledged(n),
    cancel: (_, {id}) => working.get(id)?.abort(),
  }

  const take = ({id, method, params, result, error}) => {
    if (method === undefined) {
      const promise = asked.get(id)
      asked.delete(id)
      if (error) promise?.reject(new Failure(error.message))
      else promise?.resolve(result)
    } else if (methods[method]) methods[method](id, params ?? {})
    else if (id !== undefined) send({id, error: {code: -32601, message: `there is no method ${method}`}})
  }

  if (process.env.REACTOR_PLUGIN_SOCKET || process.env.REACTOR_PLUGIN_LISTEN) {
    const {carry} = await import('./reactor-plugin-grpc.mjs')
    send = await carry(take, hash)
  } else {
    createInterface({input: process.stdin, crlfDelay: Infinity})
      .on('line', (line) => take(JSON.parse(line)))
      .on('close', () => process.exit(0))
  }
}

// not awaited here: the plugin's file may itself import this one
async function main(file) {
  const path = resolve(file)
  const manifest = readFileSync(join(dirname(path), 'plugin.yaml'))
  const plugin = await import(pathToFileURL(path).href)
  const only = typeof plugin.default === 'function' ? plugin.default : null
  const whole = plugin.default && !only ? plugin.default : plugin
  const hash = `sha256:${createHash('sha256').update(manifest).digest('hex')}`
  await serve({actions: whole.actions, triggers: whole.triggers, only, hash})
}

if (process.argv[2] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  main(process.argv[2]).catch((error) => {
    console.error(error)
    process.exit(1)
  })
}
