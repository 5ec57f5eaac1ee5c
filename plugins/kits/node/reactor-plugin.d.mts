// Types of reactor-plugin.mjs, for plugins in TypeScript: `tsc --strict --module nodenext --target es2022 plugin.mts`.

export type Json = null | boolean | number | string | Json[] | {[key: string]: Json}
export type Level = 'debug' | 'info' | 'warning' | 'error'

/** What the daemon is to know of an event; without a type it has the trigger's `event_type`. */
export interface Event {
  /** Anything that becomes JSON. */
  data?: unknown
  /** Its own identity: one that comes again starts nothing. */
  key?: string
  type?: string
  subject?: string
  /** RFC 3339. */
  time?: string
  fields?: Record<string, unknown>
}

/** One call of an action. */
export interface Call {
  readonly action: string
  readonly run: string
  readonly flow: string
  readonly step: string
  /** From 1. */
  readonly attempt: number
  /** The same over retries and crashes of the step. */
  readonly idempotency_key: string
  /** Seconds since 1970, or null. */
  readonly deadline: number | null
  /** Aborted when nobody wants the answer any longer. */
  readonly signal: AbortSignal
  log(message: unknown, level?: Level): void
  /** `percent` is from 0 to 100. */
  progress(percent: number, message?: string): void
}

/** One trigger that listens. */
export interface Listen<Cursor = any> {
  /** What the last durable event carried, or null at the first start. */
  readonly cursor: Cursor | null
  /** Aborted when nobody wants events any longer. */
  readonly signal: AbortSignal
  /** Sends an event and waits while too many are not durable yet; its number. Rejects once `signal` is aborted. */
  emit(event: Event, cursor?: Cursor | null): Promise<number>
  /** Resolves when the event of that number, and all before it, are on the daemon's disk. */
  durable(number: number): Promise<void>
}

/** What it resolves to is the result of the step: anything that becomes JSON. */
export type Action<Input = any, Result = unknown> = (input: Input, call: Call) => Result | Promise<Result>
/** Runs until its signal is aborted. */
export type Trigger<Options = any, Cursor = any> = (options: Options, listen: Listen<Cursor>) => void | Promise<void>

export interface Plugin {
  actions?: Record<string, Action>
  triggers?: Record<string, Trigger>
}

/** A failed call: `type` is what a flow's handler catches, `retryable` whether the step may be tried again. */
export class Failure extends Error {
  constructor(message: string, more?: {type?: string; retryable?: boolean; details?: Record<string, unknown>})
  readonly data: {type: string; retryable: boolean; details: Record<string, unknown>}
}

/** Sends an event by itself, which needs a type; resolves when it is durable. */
export function publish(
  type: string, data?: unknown, event?: Omit<Event, 'type' | 'data'>,
): Promise<{event: string; runs: number}>
