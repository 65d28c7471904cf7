/** A step of the build that failed, said in words for who started it. */
export class BuildError extends Error {}
