import type { Redis } from "ioredis";

export type State = "closed" | "open" | "half-open" | "forced-open" | "disabled";

export interface QueueCircuitStatus {
  name: string;
  state: State;
  isPaused: boolean;
  /** Rate limit errors in a row, over the whole fleet. */
  consecutiveErrors: number;
  threshold: number | null;
  /** Milliseconds until the pause ends by itself; null if it does not. */
  resumesInMs: number | null;
  reason: string;
  epoch: number;
  trips: number;
  /** Whether this very report tripped the breaker: true for one caller of the fleet. */
  tripped: boolean;
  /** Whether the error had been counted before. */
  duplicate: boolean;
}

export interface RateLimitError {
  /** Reports with one id count once; see attemptId. */
  errorId?: string;
  /** What the upstream's Retry-After said. */
  retryAfterMs?: number;
  kind?: "rate_limit" | "overload" | "quota";
}

/** If the store fails, a status is null, a queue is not paused, and nothing is thrown. */
export interface QueueBreaker {
  recordQueueRateLimitError(queueName: string, error?: RateLimitError): Promise<QueueCircuitStatus | null>;
  recordQueueSuccess(queueName: string): Promise<void>;
  getQueueCircuitStatus(queueName: string): Promise<QueueCircuitStatus | null>;
  isQueuePaused(queueName: string): Promise<boolean>;
  close(): Promise<void>;
}

export interface Options {
  /** Of the breakers' keys; "breaker" unless given. */
  prefix?: string;
  /** What a new breaker begins with, where it differs from SETTINGS. */
  settings?: Partial<typeof SETTINGS>;
  /** A pino logger, or any with these two. */
  log?: { warn(fields: object, message: string): void; error(fields: object, message: string): void };
}

export declare const SETTINGS: Record<string, number | string>;
export declare function createBreaker(redis: Redis, options?: Options): QueueBreaker;
export declare function attemptId(job: { queueName: string; id?: string }, attemptsMade: number): string;
export declare function isRateLimit(error: unknown): boolean;
