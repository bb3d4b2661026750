/** `HOLDFAST_POWER=all`, by hand: every sync, call and life there is. Else as many as a change has time for. */
export const isAll: boolean = process.env['HOLDFAST_POWER'] === 'all'
