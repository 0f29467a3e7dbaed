// A heat map as a plugin of uPlot: how many messages took how long, the more the darker.
"use strict";

/** Bin b covers 10^(b/8) to 10^((b+1)/8) microseconds: as BoardFeed makes them. */
const BINS_PER_DECADE = 8;

function heatMap(columnsOf, colourOf) {
  return {
    hooks: {
      drawAxes: (plot) => {
        const context = plot.ctx;
        const { left, top, width, height } = plot.bbox;
        context.save();
        context.beginPath();
        context.rect(left, top, width, height);
        context.clip();
        context.fillStyle = colourOf();
        const columns = columnsOf();
        let most = 0;
        for (const column of columns) for (const [, count] of column.heat) most = Math.max(most, count);
        for (const { begin, end, heat } of columns) {
          const from = Math.round(plot.valToPos(begin, "x", true));
          const to = Math.round(plot.valToPos(end, "x", true));
          for (const [bin, count] of heat) {
            const low = Math.round(plot.valToPos(10 ** (bin / BINS_PER_DECADE - 3), "y", true));
            const high = Math.round(plot.valToPos(10 ** ((bin + 1) / BINS_PER_DECADE - 3), "y", true));
            // By the logarithm: a single slow message among thousands is seen, too.
            context.globalAlpha = 0.1 + 0.75 * (Math.log1p(count) / Math.log1p(most));
            context.fillRect(from, high, Math.max(1, to - from), Math.max(1, low - high));
          }
        }
        context.restore();
      },
    },
  };
}

/** The lowest and the highest time of all columns, in milliseconds. */
function heatRange(columns) {
  let low = Infinity;
  let high = 0;
  for (const { heat } of columns) {
    for (const [bin] of heat) {
      low = Math.min(low, 10 ** (bin / BINS_PER_DECADE - 3));
      high = Math.max(high, 10 ** ((bin + 1) / BINS_PER_DECADE - 3));
    }
  }
  return [low, high];
}
