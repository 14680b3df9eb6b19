/** @param {string} node */
export function openRequest(node) {
  void node;
}
