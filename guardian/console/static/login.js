/** Who are you? */

import { told } from "./api.js";
import { openDialog } from "./dialog.js";
import { h } from "./dom.js";
import * as session from "./session.js";

export function openLogin() {
  const { body, error, close } = openDialog("Log in", "login");
  const user = h("input", { name: "user", autocomplete: "username", required: true, spellcheck: "false" });
  const token = h("input", { name: "token", type: "password", autocomplete: "current-password", required: true });
  const button = h("button", { type: "submit", class: "main" }, "Log in");
  const form = h("form", {}, h("label", {}, "User", user), h("label", {}, "Token", token),
    h("p", { class: "soft" }, "Who runs this console gives out tokens: guardian-console users add NAME"),
    h("footer", {}, button));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    error("");
    button.disabled = true;
    try {
      await session.login(user.value.trim(), token.value.trim());
      close();
    } catch (problem) {
      error(told(problem));
      token.select();
    } finally {
      button.disabled = false;
    }
  });
  body.append(form);
  user.focus();
}
