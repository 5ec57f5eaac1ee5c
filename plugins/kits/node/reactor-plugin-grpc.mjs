// The carrier of reactor-plugin.mjs over gRPC: needs the packages of package.json (npm install), and plugin.proto.
//
// The host sets REACTOR_PLUGIN_SOCKET and REACTOR_PLUGIN_TOKEN for a program that it starts (`command:` in plugin.yaml).
// To serve elsewhere (`address:`), set REACTOR_PLUGIN_LISTEN (host:port), REACTOR_PLUGIN_TOKEN, and for TLS the files
// REACTOR_PLUGIN_TLS_CERT, _KEY and, to know the hosts that may call, _CA.

import {timingSafeEqual} from 'node:crypto'
import {readFileSync} from 'node:fs'
import {fileURLToPath} from 'node:url'
import grpc from '@grpc/grpc-js'
import {loadSync} from '@grpc/proto-loader'

const KIT = 'node/1'
const MAX = 16 * 1024 * 1024
const env = process.env
const json = (value) => Buffer.from(JSON.stringify(value ?? null))
const parse = (bytes, otherwise) => (bytes?.length ? JSON.parse(bytes) : otherwise)
const failure = ({message, data = {}}) => ({
  type: data.type ?? '', message, retryable: Boolean(data.retryable), details: json(data.details ?? {}),
})
const toEvent = ({data, key, type, subject, time, fields}) => ({
  data: json(data), ...(key != null && {key}), type: type ?? '', subject: subject ?? '', time: time ?? '',
  fields: fields ? json(fields) : Buffer.alloc(0),
})

/** Serves; gives back how the kit sends a message. `take` hands it one. */
export async function carry(take, hash) {
  const definition = loadSync(fileURLToPath(new URL('./plugin.proto', import.meta.url)), {
    longs: Number, oneofs: true, defaults: true, keepCase: true,
  })
  const {Plugin} = grpc.loadPackageDefinition(definition).reactor.plugin.v1
  const token = Buffer.from(`Bearer ${env.REACTOR_PLUGIN_TOKEN}`)
  const answers = new Map()
  const streams = new Map()
  const calls = new Map()
  const published = new Map()
  const unsaid = []
  let attending = null
  let numbers = 0

  const allowed = (call) => {
    const given = Buffer.from(String(call.metadata.get('authorization')[0] ?? ''))
    return given.length === token.length && timingSafeEqual(given, token)
  }
  const refusal = {code: grpc.status.UNAUTHENTICATED, details: 'another token is needed'}
  const say = (report) => {
    if (attending) attending.write(report)
    else if (unsaid.length < 1000) unsaid.push(report)
  }

  const send = ({id, method, params, result, error}) => {
    if (method === 'event') {
      const {event, cursor, n} = params
      streams.get(params.listen)?.write({
        happened: {number: n, event: toEvent(event), cursor: cursor == null ? Buffer.alloc(0) : json(cursor)},
      })
    } else if (method === 'log') {
      say({log: {level: params.level, message: params.message, call: calls.get(params.call) ?? 0}})
    } else if (method === 'progress') {
      const {percent, message} = params
      say({progress: {call: calls.get(params.call) ?? 0, message: message ?? '', ...(percent != null && {percent})}})
    } else if (method === 'publish') {
      published.set(++numbers, id)
      say({publish: {id: numbers, event: toEvent(params.event)}})
    } else if (streams.has(id)) {
      const stream = streams.get(id)
      streams.delete(id)
      if (error) stream.write({failure: failure(error)})
      stream.end()
    } else {
      answers.get(id)?.(error ? {failure: failure(error)} : {result: json(result)})
    }
  }

  const unary = (work) => (call, done) => (allowed(call) ? work(call, done) : done(refusal))
  const stream = (work) => (call) => (allowed(call) ? work(call) : call.emit('error', refusal))
  const methods = {
    Handshake: unary((_, done) => done(null, {protocol: 1, manifest: hash, kit: KIT})),
    Health: unary((_, done) => done(null, {serving: true, message: ''})),
    Act: unary((call, done) => {
      const {action, input, context} = call.request
      const id = ++numbers
      let given
      try {
        given = parse(input, {})
      } catch (error) {
        return done({code: grpc.status.INVALID_ARGUMENT, details: `the input is no JSON: ${error.message}`})
      }
      calls.set(id, call.request.call)
      answers.set(id, (answer) => {
        answers.delete(id)
        calls.delete(id)
        done(null, answer)
      })
      call.on('cancelled', () => {
        answers.delete(id)
        calls.delete(id)
        take({method: 'cancel', params: {id}})
      })
      const {run, flow, step, attempt, idempotency_key} = context ?? {}
      const deadline = context?._deadline ? context.deadline : null
      take({id, method: 'act', params: {action, input: given, context: {run, flow, step, attempt, idempotency_key, deadline}}})
    }),
    Listen: stream((call) => {
      const id = ++numbers
      streams.set(id, call)
      const end = () => {
        streams.delete(id)
        take({method: 'cancel', params: {id}})
      }
      call.on('cancelled', end).on('error', end).on('end', () => call.end()).on('data', ({open, acknowledge}) => {
        if (acknowledge) take({method: 'ack', params: {listen: id, n: acknowledge.number}})
        else if (open) {
          const {trigger, credit} = open
          take({id, method: 'listen', params: {trigger, credit, options: parse(open.options, {}), cursor: parse(open.cursor, null)}})
        }
      })
    }),
    Attend: stream((call) => {
      attending = call
      for (const report of unsaid.splice(0)) call.write(report)
      const end = () => { if (attending === call) attending = null }
      call.on('cancelled', end).on('error', end).on('end', () => call.end()).on('data', ({published: answer}) => {
        if (!answer) return
        const id = published.get(answer.id)
        published.delete(answer.id)
        if (answer.accepted) take({id, result: {event: answer.accepted.event, runs: answer.accepted.runs}})
        else take({id, error: {message: answer.failure.message}})
      })
    }),
  }

  const server = new grpc.Server({'grpc.max_receive_message_length': MAX, 'grpc.max_send_message_length': MAX})
  server.addService(Plugin.service, methods)
  const {REACTOR_PLUGIN_SOCKET: socket, REACTOR_PLUGIN_LISTEN: listen} = env
  let credentials = grpc.ServerCredentials.createInsecure()
  if (!socket && env.REACTOR_PLUGIN_TLS_CERT) {
    const pair = {private_key: readFileSync(env.REACTOR_PLUGIN_TLS_KEY), cert_chain: readFileSync(env.REACTOR_PLUGIN_TLS_CERT)}
    const ca = env.REACTOR_PLUGIN_TLS_CA ? readFileSync(env.REACTOR_PLUGIN_TLS_CA) : null
    credentials = grpc.ServerCredentials.createSsl(ca, [pair], Boolean(ca))
  }
  await new Promise((resolve, reject) => server.bindAsync(
    socket ? `unix:${socket}` : listen, credentials, (error) => (error ? reject(error) : resolve()),
  ))
  if (socket) process.stdin.on('end', () => process.exit(0)).resume()
  return send
}
